"""A listener that falls behind."""

from __future__ import annotations

import asyncio

import pytest

from httpd.channels import HEARTBEAT, MAX_PENDING, Channel, Kind, Update, encode, joined


def step(number: int, *, preview: bool = False) -> Update:
    plain = encode({"step": number})
    return Update(Kind.STEP, plain, encode({"step": number, "preview": "x"}) if preview else None)


def drained(channel: Channel) -> bytes:
    """What the listener would be sent now."""

    async def drain() -> bytes:
        channel.close()
        return b"".join([batch async for batch in channel.batches(1)])

    return asyncio.run(drain())


def test_what_came_at_once_goes_out_at_once() -> None:
    channel = Channel()
    channel.put(step(1))
    channel.put(step(2))
    assert drained(channel) == step(1).plain + step(2).plain


def test_only_the_latest_preview_waits() -> None:
    channel = Channel()
    channel.put(step(1, preview=True))
    channel.put(step(2, preview=True))
    channel.put(step(3))
    assert drained(channel) == step(1).plain + step(2, preview=True).body + step(3).plain


def test_only_the_latest_place_in_the_queue_waits() -> None:
    channel = Channel()
    for place in (3, 2, 1):
        channel.put(Update(Kind.PLACE, encode({"queue_position": place})))
    assert drained(channel) == encode({"queue_position": 1})


def test_steps_in_between_are_dropped_and_states_are_not() -> None:
    channel = Channel()
    started = Update(Kind.STATE, encode({"status": "processing"}))
    final = Update(Kind.STATE, encode({"status": "completed"}))
    channel.put(started)
    channel.put(step(0, preview=True))
    for number in range(1, 10 * MAX_PENDING):
        channel.put(step(number))
    channel.put(final)
    sent = drained(channel)
    assert sent.startswith(started.plain)
    assert step(0, preview=True).body in sent
    assert sent.endswith(step(10 * MAX_PENDING - 1).plain + final.plain)
    assert sent.count(b"data:") == MAX_PENDING


def test_what_a_returning_listener_missed_is_never_dropped() -> None:
    channel = Channel()
    missed = joined(step(number) for number in range(10 * MAX_PENDING))
    channel.put(missed)
    for number in range(2 * MAX_PENDING):
        channel.put(step(number))
    assert drained(channel).startswith(missed.plain)


def test_a_quiet_channel_sends_comments() -> None:
    async def first() -> bytes:
        return await anext(Channel().batches(0.01))

    assert asyncio.run(first()) == HEARTBEAT


def test_an_event_is_one_line_of_data() -> None:
    event = encode({"prompt": "a\nb\r\nc\u2028d"}, "1:2")
    assert event.startswith(b"id: 1:2\ndata: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 3
    assert b"\r" not in event


@pytest.mark.parametrize("event_id", [None, "final"])
def test_an_event_has_an_id_only_if_it_is_given_one(event_id: str | None) -> None:
    assert (b"id: " in encode({}, event_id)) == (event_id is not None)

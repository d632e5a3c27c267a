from __future__ import annotations

import errno
import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import acceptance, states
from spool.acceptance import (
    admit,
    admit_keyed,
    is_known,
    key_of,
    key_path,
    recover_admissions,
    remember_rejection,
)
from spool.claims import Slot
from spool.control import Verb, command
from spool.finishing import finish
from spool.jobs import parse_request
from spool.layout import Spool
from spool.problems import Problem
from spool.tickets import Ticket
from tests.spool.crashes import killed_at_each_effect
from tests.spool.processes import child, in_children
from tests.spool.samples import completed, draw


def _queued(spool: Spool) -> list[Ticket]:
    return [
        Ticket.decode((spool.queued / str(name)).read_bytes()) for name in states.scan(spool.queued)
    ]


def _spools(tmp_path: Path) -> Iterator[Spool]:
    for number in range(1000):
        yield Spool.create(tmp_path / f"spool{number}")


def test_an_admitted_ticket_is_queued_as_it_was_drawn(spool: Spool) -> None:
    ticket = draw(spool, priority=80, steps=3)
    admit(spool, ticket)
    assert _queued(spool) == [ticket]
    assert [str(name)[:3] for name in states.scan(spool.queued)] == ["20-"]


def test_a_ticket_freezes_all_that_decides_the_picture(spool: Spool) -> None:
    ticket = draw(spool)
    assert ticket.job is not None
    assert ticket.job.seed == ticket.seed
    assert (ticket.job.width, ticket.job.steps, ticket.job.sampler) == (128, 20, "euler")


def test_a_seed_is_drawn_when_none_is_given_and_kept_otherwise(spool: Spool) -> None:
    assert len({draw(spool).seed for _ in range(5)}) == 5
    assert all(0 <= draw(spool).seed < 2**32 for _ in range(5))
    assert draw(spool, seed=42).seed == 42
    assert draw(spool, seed=None).request.seed is None


def test_a_ticket_is_read_as_it_was_written(spool: Spool) -> None:
    lora = {"id": "ink", "weight": 0.5}
    ticket = draw(spool, drop_name="a/b.json", key="k", loras=[lora], prompt="赤い丸 😀", name="n")
    assert Ticket.decode(ticket.encode()) == ticket


def test_a_ticket_of_another_format_is_refused(spool: Spool) -> None:
    data = draw(spool).encode().replace(b'"format": 1', b'"format": 2')
    with pytest.raises(ValueError, match="format 2, expected 1"):
        Ticket.decode(data)


def test_equal_requests_have_one_digest_however_they_were_spelled() -> None:
    short = parse_request({"prompt": "x", "width": 64})
    long = parse_request({"count": 1, "width": 64.0, "seed": None, "prompt": "x"})
    other = parse_request({"prompt": "x", "width": 65})
    assert acceptance.digest(short) == acceptance.digest(long) != acceptance.digest(other)


def test_a_refused_request_leaves_nothing_behind(spool: Spool) -> None:
    with pytest.raises(Problem):
        draw(spool, width=100)
    assert [path for path in spool.root.rglob("*") if path.is_file()] == [spool.root / "spool.json"]


def test_a_ticket_without_a_key_is_not_admitted_under_one(spool: Spool) -> None:
    with pytest.raises(ValueError, match="no key"):
        admit_keyed(spool, draw(spool))


def test_a_key_admits_one_job(spool: Spool) -> None:
    first, second = draw(spool, key="k"), draw(spool, key="k")
    assert admit_keyed(spool, first)
    assert not admit_keyed(spool, second)
    assert _queued(spool) == [first]
    assert list(spool.pending.iterdir()) == []
    assert not spool.events(second.job_id).exists()
    assert spool.events(first.job_id).exists()


def test_a_known_key_tells_its_job(spool: Spool) -> None:
    ticket = draw(spool, key="k")
    admit_keyed(spool, ticket)
    assert Ticket.decode(key_path(spool, key_of("k")).read_bytes()) == ticket


def test_a_key_is_known_once_it_was_admitted_and_ages_from_its_last_sighting(spool: Spool) -> None:
    ticket = draw(spool, key="k")
    assert not is_known(spool, key_of("k"))
    admit_keyed(spool, ticket)
    path = key_path(spool, key_of("k"))
    os.utime(path, (0, 0))
    assert is_known(spool, key_of("k"))
    assert path.stat().st_mtime > 1_000_000_000


def test_keys_of_different_parts_differ() -> None:
    parts = [("a", "b"), ("ab",), ("a", "b", ""), ("a", ["b"]), ("b", "a"), ("a", 1), ("a", "1")]
    assert len({key_of(*part) for part in parts}) == len(parts)


def test_a_refusal_is_remembered_with_its_reason(spool: Spool) -> None:
    remember_rejection(spool, key_of("k"), Problem("No", "not that"))
    assert is_known(spool, key_of("k"))
    document = json.loads(key_path(spool, key_of("k")).read_bytes())
    assert document["rejection"]["detail"] == "not that"


def _admit_same(root: str, _: int) -> list[str]:
    spool = Spool.open(Path(root))
    won = []
    for number in range(10):
        ticket = draw(spool, key=f"key{number}")
        if admit_keyed(spool, ticket):
            won.append(ticket.job_id)
    return won


def test_of_processes_with_one_key_exactly_one_admits_it(spool: Spool) -> None:
    results = in_children(_admit_same, [(str(spool.root), number) for number in range(4)])
    won = [job_id for result in results for job_id in result]
    assert len(won) == 10
    assert {ticket.job_id for ticket in _queued(spool)} == set(won)
    assert list(spool.pending.iterdir()) == []


def test_a_kill_at_any_line_of_a_plain_admission_queues_the_job_once_or_not(
    tmp_path: Path,
) -> None:
    spools = _spools(tmp_path)
    counts = []

    def submit(spool: Spool) -> None:
        admit(spool, draw(spool))

    for spool in killed_at_each_effect(lambda: next(spools), submit):
        counts.append(len(_queued(spool)))
    assert counts == sorted(counts)
    assert set(counts) == {0, 1}


def test_a_kill_at_any_line_of_a_keyed_admission_neither_loses_nor_doubles_it(
    tmp_path: Path,
) -> None:
    """The sender, who was told nothing, sends again after the crash."""
    spools = _spools(tmp_path)
    ends = []

    def submit(spool: Spool) -> None:
        admit_keyed(spool, draw(spool, key="k"))

    for spool in killed_at_each_effect(lambda: next(spools), submit):
        recover_admissions(spool)
        assert recover_admissions(spool) == []
        recovered = len(_queued(spool))
        assert recovered == is_known(spool, key_of("k"))
        again = draw(spool, key="k")
        assert admit_keyed(spool, again) == (recovered == 0)
        assert len(_queued(spool)) == 1
        assert list(spool.pending.iterdir()) == []
        ends.append(recovered)
    assert set(ends) == {0, 1}
    assert len(ends) > 10


def test_a_kill_at_any_line_of_the_recovery_is_recovered_from(tmp_path: Path) -> None:
    spools = _spools(tmp_path)

    def interrupted() -> Spool:
        spool = next(spools)
        ticket = draw(spool, key="k")
        (spool.pending / f"{ticket.job_id}.json").write_bytes(ticket.encode())
        return spool

    for spool in killed_at_each_effect(interrupted, recover_admissions):
        recover_admissions(spool)
        assert len(_queued(spool)) == 1
        assert list(spool.pending.iterdir()) == []


def _interrupt_after_queueing(spool: Spool) -> Ticket:
    """An admission that died before it removed its intent."""
    ticket = draw(spool, key="k")
    admit_keyed(spool, ticket)
    os.link(key_path(spool, key_of("k")), spool.pending / f"{ticket.job_id}.json")
    return ticket


@pytest.mark.parametrize("state", ["queued", "claimed", "started", "held", "done", "cancelled"])
def test_a_job_that_went_on_after_its_admission_died_is_not_queued_again(
    spool: Spool, state: str
) -> None:
    ticket = _interrupt_after_queueing(spool)
    slot = Slot.acquire(spool, "gpu0")
    if state in {"claimed", "started", "done"}:
        claim = slot.claim(ticket.name)
        assert claim is not None
        if state != "claimed":
            claim = claim.start()
        if state == "done":
            finish(claim, completed(ticket))
    elif state == "held":
        (spool.queued / str(ticket.name)).rename(spool.held / str(ticket.name))
    elif state == "cancelled":
        command(spool, Verb.CANCEL, ticket.job_id)
    slot.release()
    before = set(spool.work.rglob("*.json"))
    assert recover_admissions(spool) == []
    assert set(spool.work.rglob("*.json")) == before
    assert list(spool.pending.iterdir()) == []


def test_an_intent_whose_key_another_took_is_dropped_with_its_reservation(spool: Spool) -> None:
    winner = draw(spool, key="k")
    admit_keyed(spool, winner)
    loser = draw(spool, key="k")
    (spool.pending / f"{loser.job_id}.json").write_bytes(loser.encode())
    assert recover_admissions(spool) == []
    assert _queued(spool) == [winner]
    assert list(spool.pending.iterdir()) == []
    assert not spool.events(loser.job_id).exists()


def test_an_intent_that_cannot_be_read_is_kept_and_stops_no_other(spool: Spool) -> None:
    foreign = spool.pending / "20000101T000000000-aaaaaa.json"
    foreign.write_bytes(b'{"format": 9}')
    ticket = draw(spool, key="k")
    (spool.pending / f"{ticket.job_id}.json").write_bytes(ticket.encode())
    assert recover_admissions(spool) == [ticket.job_id]
    assert list(spool.pending.iterdir()) == [foreign]


def test_a_kill_leaves_no_intent_of_a_job_that_is_queued(tmp_path: Path) -> None:
    """Its ticket moves, and whoever searched for it to tell could miss it, and queue it twice."""
    spools = _spools(tmp_path)

    def submit(spool: Spool) -> None:
        admit_keyed(spool, draw(spool, key="k"))

    for spool in killed_at_each_effect(lambda: next(spools), submit):
        assert not _queued(spool) or not any(spool.pending.iterdir())


def _fail_at(monkeypatch: pytest.MonkeyPatch, name: str, countdown: int) -> None:
    real = getattr(os, name)
    remaining = countdown

    def fail(*arguments: Any, **options: Any) -> Any:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            raise OSError(errno.ENOSPC, "injected")
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("name", ["link", "rename", "fsync", "write", "unlink"])
def test_an_error_that_the_process_survives_is_completed_by_the_next_recovery(
    spool: Spool, name: str
) -> None:
    """A full disk at any step; whoever sends again meets one job."""
    failures = 0
    for countdown in range(1, 10):
        ticket = draw(spool, key=f"{name}{countdown}")
        with pytest.MonkeyPatch.context() as patch:
            _fail_at(patch, name, countdown)
            try:
                admit_keyed(spool, ticket)
            except OSError:
                failures += 1
        recover_admissions(spool)
        again = draw(spool, key=f"{name}{countdown}")
        admit_keyed(spool, again)
        ids = [queued.job_id for queued in _queued(spool) if queued.key == ticket.key]
        assert len(ids) == 1
        assert list(spool.pending.iterdir()) == []
    assert failures


@pytest.mark.parametrize("admission", [admit, admit_keyed])
def test_a_job_that_a_full_disk_refuses_leaves_no_reservation(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, admission: Any
) -> None:
    ticket = draw(spool, key="k")
    _fail_at(monkeypatch, "write", 1)
    with pytest.raises(OSError, match="injected"):
        admission(spool, ticket)
    assert list(spool.live.iterdir()) == []
    assert list(spool.tmp.iterdir()) == []


def _admit_slowly(root: str, entered: Any, go_on: Any) -> None:
    spool = Spool.open(Path(root))
    link = os.link

    def slow_link(*arguments: Any, **options: Any) -> None:
        entered.set()
        go_on.wait(10)
        link(*arguments, **options)

    os.link = slow_link
    admit_keyed(spool, draw(spool, key="k"))


def test_a_recovery_waits_for_an_admission_that_is_under_way(spool: Spool) -> None:
    """Else it would complete what the other then withdraws."""
    context = multiprocessing.get_context("fork")
    entered, go_on = context.Event(), context.Event()
    with child(_admit_slowly, str(spool.root), entered, go_on) as process:
        assert entered.wait(10)
        recovered: list[list[str]] = []
        recovery = threading.Thread(target=lambda: recovered.append(recover_admissions(spool)))
        recovery.start()
        recovery.join(0.2)
        assert recovery.is_alive()
        go_on.set()
        recovery.join(10)
        process.join(10)
    assert recovered == [[]]
    assert len(_queued(spool)) == 1

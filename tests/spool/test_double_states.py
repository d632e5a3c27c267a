"""What btrfs leaves of a rename that was not durable: a ticket under both its names."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from spool.claims import Slot
from spool.layout import CANCEL_SLOT, Spool
from spool.records import publish_record, read_record
from spool.recovery import recover
from spool.states import Status, TicketName, find, scan
from spool.tickets import Ticket
from tests.spool.samples import completed, queue_job


def _place(spool: Spool, state: str) -> Path:
    """Where the tickets of a state lie; `other` is a slot whose daemon is gone."""
    slots = {"active": "gpu0", "other": "gpu1", "cancel": CANCEL_SLOT}
    if state not in slots:
        return spool.work / state
    directory = spool.slot_of(slots[state])
    directory.mkdir(exist_ok=True)
    return directory


def _stands_in(spool: Spool, *names: tuple[str, int]) -> Ticket:
    """A ticket with a name for each state and count of starts, all of them one file."""
    ticket = queue_job(spool)
    original = spool.queued / str(ticket.name)
    scratch = spool.tmp / "ticket"
    original.rename(scratch)
    for state, starts in names:
        name = TicketName(ticket.name.rank, ticket.job_id, starts)
        os.link(scratch, _place(spool, state) / str(name))
    scratch.unlink()
    return ticket


def _recovered(spool: Spool) -> list[tuple[str, int]]:
    """Where tickets are once the first daemon is back, and with how many starts."""
    slot = Slot.acquire(spool, "gpu0")
    recover(slot, starting=True)
    slot.release()
    places = [spool.queued, *spool.active.iterdir(), spool.held]
    return [(place.name, name.starts) for place in places for name in scan(place)]


@pytest.mark.parametrize("slot", ["active", "other"])
@pytest.mark.parametrize(("queued", "active"), [(0, 0), (0, 1), (1, 1)])
def test_a_job_that_is_queued_and_active_is_the_active_one(
    spool: Spool, slot: str, queued: int, active: int
) -> None:
    _stands_in(spool, ("queued", queued), (slot, active))
    assert _recovered(spool) == [("queued", active)]


@pytest.mark.parametrize("slot", ["active", "other"])
def test_a_job_that_is_queued_and_active_after_its_last_start_is_held(
    spool: Spool, slot: str
) -> None:
    _stands_in(spool, ("queued", 1), (slot, 2))
    assert _recovered(spool) == [("held", 2)]


@pytest.mark.parametrize("starts", [0, 2])
def test_a_job_that_is_queued_and_held_is_held(spool: Spool, starts: int) -> None:
    _stands_in(spool, ("queued", starts), ("held", 2))
    assert _recovered(spool) == [("held", 2)]


@pytest.mark.parametrize("slot", ["active", "other"])
def test_a_job_that_is_active_and_held_after_its_last_start_is_held_once(
    spool: Spool, slot: str
) -> None:
    _stands_in(spool, (slot, 2), ("held", 2))
    assert _recovered(spool) == [("held", 2)]


@pytest.mark.parametrize("slot", ["active", "other"])
def test_a_job_that_is_active_and_held_is_the_active_one(spool: Spool, slot: str) -> None:
    _stands_in(spool, (slot, 1), ("held", 0))
    assert _recovered(spool) == [("queued", 1)]


@pytest.mark.parametrize("slot", ["active", "other"])
def test_of_two_counts_of_starts_in_a_slot_the_higher_counts(spool: Spool, slot: str) -> None:
    _stands_in(spool, (slot, 0), (slot, 1))
    assert _recovered(spool) == [("queued", 1)]


@pytest.mark.parametrize("slot", ["active", "other"])
def test_of_two_counts_of_starts_in_a_slot_the_last_start_is_held(spool: Spool, slot: str) -> None:
    _stands_in(spool, (slot, 1), (slot, 2))
    assert _recovered(spool) == [("held", 2)]


def test_a_job_in_two_slots_is_queued_once(spool: Spool) -> None:
    _stands_in(spool, ("active", 1), ("other", 1))
    assert _recovered(spool) == [("queued", 1)]


@pytest.mark.parametrize("state", ["queued", "held"])
def test_a_job_that_waits_and_is_being_cancelled_is_cancelled(spool: Spool, state: str) -> None:
    ticket = _stands_in(spool, (state, 0), ("cancel", 0))
    assert _recovered(spool) == []
    record = read_record(spool, ticket.job_id)
    assert record is not None
    assert record.status is Status.CANCELLED


@pytest.mark.parametrize(
    "states",
    [
        states
        for count in (1, 2, 3)
        for states in itertools.combinations(("queued", "active", "other", "held"), count)
    ],
    ids="+".join,
)
def test_a_job_that_has_a_record_has_no_ticket(spool: Spool, states: tuple[str, ...]) -> None:
    ticket = _stands_in(spool, *((state, 1) for state in states))
    publish_record(spool, completed(ticket))
    assert _recovered(spool) == []
    assert find(spool, ticket.job_id) is None

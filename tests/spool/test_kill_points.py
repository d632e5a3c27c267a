"""Every step of a job, killed before each of its effects on the disk in turn.

After each kill the spool is taken up as at a boot and worked on to the end; then the invariants
of a spool at rest hold, and the job has ended once. Admission, cancellation and the finishing of
drops are killed in the same way in the tests of their modules, where more is known of the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from spool.acceptance import recover_admissions
from spool.claims import Claim, Slot
from spool.control import Verb, command
from spool.feed import announce
from spool.finishing import finish
from spool.gallery import PictureName, publish_picture
from spool.layout import CANCEL_SLOT, Spool
from spool.records import publish_record, read_record
from spool.recovery import recover
from spool.states import Status, job_ids_with_tickets, scan
from spool.tickets import Ticket
from tests.spool import invariants
from tests.spool.crashes import killed_at_each_effect
from tests.spool.samples import PNG, completed, hold_job, publish_pictures, queue_job

ENDED = {Status.COMPLETED}
ENDED_OR_CANCELLED = {Status.COMPLETED, Status.CANCELLED}


@dataclass(frozen=True)
class Case:
    """A job brought to some place by `prepare`, and what is killed there."""

    prepare: Callable[[Spool], Ticket]
    action: Callable[[Spool, Ticket], object]
    ends: frozenset[Status] | set[Status] = frozenset(ENDED)


def _queued(spool: Spool) -> Ticket:
    return queue_job(spool, drop_name="a/hello.json", count=2)


def _held(spool: Spool) -> Ticket:
    return hold_job(spool, drop_name="a/hello.json")


def _orphaned(starts: int, *, pictures: bool = False) -> Callable[[Spool], Ticket]:
    """A job whose daemon died after its start number `starts`."""

    def prepare(spool: Spool) -> Ticket:
        ticket = _queued(spool)
        slot = Slot.acquire(spool, "gpu0")
        _claim(slot, ticket, starts)
        if pictures:
            publish_picture(spool, PictureName(ticket.job_id, 0), PNG, b"thumbnail")
        slot.release()
        return ticket

    return prepare


def _recorded(spool: Spool) -> Ticket:
    """A job whose daemon died right after its record."""
    ticket = _orphaned(1)(spool)
    publish_pictures(spool, ticket)
    publish_record(spool, completed(ticket))
    return ticket


def _asked_to_stop(spool: Spool) -> Ticket:
    """A job that was to be cancelled when its daemon died, and for the second time."""
    ticket = _orphaned(2, pictures=True)(spool)
    command(spool, Verb.CANCEL, ticket.job_id)
    return ticket


def _half_cancelled(spool: Spool) -> Ticket:
    ticket = _queued(spool)
    publish_picture(spool, PictureName(ticket.job_id, 0), PNG, b"thumbnail")
    target = spool.slot_of(CANCEL_SLOT) / str(ticket.name)
    (spool.queued / str(ticket.name)).rename(target)
    return ticket


def _claim(slot: Slot, ticket: Ticket, starts: int = 0) -> Claim:
    claim = slot.claim(ticket.name)
    assert claim is not None
    for _ in range(starts):
        claim = claim.start()
    return claim


def _as_claimed(
    starts: int, action: Callable[[Claim], object]
) -> Callable[[Spool, Ticket], object]:
    """What a daemon does to a job that it claimed and started `starts` times."""
    return lambda spool, ticket: action(_claim(Slot.acquire(spool, "gpu0"), ticket, starts))


def _recover(slot: str, *, starting: bool) -> Callable[[Spool, Ticket], object]:
    return lambda spool, _: recover(Slot.acquire(spool, slot), starting=starting)


def _run_to_the_end(slot: Slot) -> None:
    """Do for each queued job what a daemon does."""
    for name in scan(slot.spool.queued):
        claim = slot.claim(name)
        assert claim is not None
        claim = claim.start()
        publish_pictures(slot.spool, claim.ticket)
        for image in completed(claim.ticket).images:
            announce(slot.spool, image.filename, {"job_id": claim.job_id})
        claim = claim.uncount()
        finish(claim, completed(claim.ticket))


CASES = {
    "claim": Case(_queued, _as_claimed(0, lambda claim: claim)),
    "start": Case(_queued, _as_claimed(0, Claim.start)),
    "put back": Case(_queued, _as_claimed(1, lambda claim: claim.put_back(0))),
    "uncount": Case(_queued, _as_claimed(1, Claim.uncount)),
    "publish": Case(_orphaned(1), publish_pictures),
    "a whole life": Case(_queued, lambda spool, _: _run_to_the_end(Slot.acquire(spool, "gpu0"))),
    "requeue our own": Case(_orphaned(1, pictures=True), _recover("gpu0", starting=True)),
    "requeue a peer's": Case(_orphaned(0), _recover("gpu1", starting=False)),
    "finish what has a record": Case(_recorded, _recover("gpu1", starting=False)),
    "hold": Case(_orphaned(2), _recover("gpu0", starting=True)),
    "release": Case(_held, lambda spool, ticket: command(spool, Verb.RELEASE, ticket.job_id)),
    "ask to stop": Case(
        _orphaned(1),
        lambda spool, ticket: command(spool, Verb.CANCEL, ticket.job_id),
        ENDED_OR_CANCELLED,
    ),
    "recover what was asked to stop": Case(
        _asked_to_stop, _recover("gpu0", starting=True), {Status.CANCELLED}
    ),
    "recover a cancellation": Case(
        _half_cancelled, _recover("gpu0", starting=False), {Status.CANCELLED}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_job_ends_once_after_a_kill_at_any_line(tmp_path: Path, case: Case) -> None:
    numbers = itertools.count()

    def prepare() -> tuple[Spool, Ticket]:
        spool = Spool.create(tmp_path / str(next(numbers)))
        return spool, case.prepare(spool)

    for spool, ticket in killed_at_each_effect(prepare, lambda scene: case.action(*scene)):
        _boot_and_work(spool)
        invariants.check(spool, [ticket.job_id])
        record = read_record(spool, ticket.job_id)
        assert record is not None
        assert record.status in case.ends
        assert job_ids_with_tickets(spool) == set()


def _boot_and_work(spool: Spool) -> None:
    """What genzod does after its start, and a person to what is on hold."""
    recover_admissions(spool)
    slot = Slot.acquire(spool, "gpu0", timeout_seconds=5)
    recover(slot, starting=True)
    for name in scan(spool.held):
        assert command(spool, Verb.RELEASE, name.job_id)
    _run_to_the_end(slot)
    slot.release()

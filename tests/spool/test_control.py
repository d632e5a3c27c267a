from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from spool import acceptance
from spool.claims import Claim, Slot
from spool.control import TABLE, Answer, Caller, Verb, command
from spool.finishing import finish
from spool.layout import Spool
from spool.live import last_event, read_events
from spool.outcomes import Outcome, record_of
from spool.problems import Problem
from spool.records import newest_first, read_record
from spool.recovery import recover
from spool.states import Status, find, scan
from spool.tickets import Ticket
from tests.spool.crashes import killed_at_each_effect
from tests.spool.processes import child
from tests.spool.samples import claim_job, hold_job, queue_job

REFUSED = 409
NEW = "a new job"
SAME = "as it is"

EXPECTED: dict[tuple[str, str], object] = {
    ("queued", "cancel"): "cancelled",
    ("queued", "hold"): "held",
    ("queued", "release"): SAME,
    ("queued", "retry"): REFUSED,
    ("processing", "cancel"): "asked to stop",
    ("processing", "hold"): REFUSED,
    ("processing", "release"): SAME,
    ("processing", "retry"): REFUSED,
    ("held", "cancel"): "cancelled",
    ("held", "hold"): SAME,
    ("held", "release"): "queued",
    ("held", "retry"): REFUSED,
    ("completed", "cancel"): SAME,
    ("completed", "hold"): REFUSED,
    ("completed", "release"): REFUSED,
    ("completed", "retry"): NEW,
    ("failed", "cancel"): SAME,
    ("failed", "hold"): REFUSED,
    ("failed", "release"): REFUSED,
    ("failed", "retry"): NEW,
    ("cancelled", "cancel"): SAME,
    ("cancelled", "hold"): REFUSED,
    ("cancelled", "release"): REFUSED,
    ("cancelled", "retry"): NEW,
}


def _job_in(spool: Spool, status: Status) -> str:
    """A job in the state `status`."""
    if status is Status.QUEUED:
        return queue_job(spool, drop_name="a.json").job_id
    if status is Status.HELD:
        return hold_job(spool, drop_name="a.json").job_id
    claim = claim_job(Slot.acquire(spool, "gpu0"), drop_name="a.json", seed=7).start()
    if status.is_final:
        finish(claim, record_of(claim.ticket, Outcome(status, 1)))
    return claim.job_id


def _status(spool: Spool, job_id: str) -> Status | None:
    """Where a job is; fails if it is in two places."""
    record = read_record(spool, job_id)
    tickets = [
        path
        for path in (spool.queued, spool.held, *spool.active.iterdir())
        for name in scan(path)
        if name.job_id == job_id
    ]
    assert len(tickets) + (record is not None) <= 1, tickets
    if record is not None:
        return record.status
    found = find(spool, job_id)
    return found.status if found else None


def _jobs(spool: Spool) -> set[str]:
    places = (spool.queued, spool.held, *spool.active.iterdir())
    return {name.job_id for path in places for name in scan(path)} | set(newest_first(spool))


@pytest.mark.parametrize(("status", "verb"), TABLE, ids=lambda it: it.value)
def test_each_verb_does_to_a_job_in_each_state_what_the_table_says(
    spool: Spool, status: Status, verb: Verb
) -> None:
    job_id = _job_in(spool, status)
    expected = EXPECTED[status.value, verb.value]
    if expected == REFUSED:
        with pytest.raises(Problem, match=f"{job_id} is {status}") as caught:
            command(spool, verb, job_id)
        assert caught.value.status == REFUSED
    else:
        _check(spool, command(spool, verb, job_id), job_id, status, expected)
    stays = expected in {SAME, REFUSED, NEW, "asked to stop"}
    assert _status(spool, job_id) == (status if stays else expected)
    assert spool.cancel_request(job_id).exists() == (expected == "asked to stop")
    assert len(_jobs(spool)) == (2 if expected == NEW else 1)


def _check(spool: Spool, answer: Answer, job_id: str, before: Status, expected: object) -> None:
    if expected == NEW:
        assert (answer.job_id != job_id, answer.status) == (True, Status.QUEUED)
        assert _status(spool, answer.job_id) is Status.QUEUED
        return
    assert answer.job_id == job_id
    assert answer.status == (before if expected in {SAME, "asked to stop"} else expected)


def test_the_table_has_each_pair_of_a_state_and_a_verb_once() -> None:
    assert set(TABLE) == set(itertools.product(Status, Verb))
    assert set(EXPECTED) == {(status.value, verb.value) for status, verb in TABLE}


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("status", Status)
def test_no_verb_of_a_stranger_does_anything(spool: Spool, status: Status, verb: Verb) -> None:
    job_id = _job_in(spool, status)
    with pytest.raises(Problem, match="belongs to user 1000, the order came from user 4321") as it:
        command(spool, verb, job_id, Caller("drop", 4321))
    assert it.value.status == 403
    assert _status(spool, job_id) is status
    assert _jobs(spool) == {job_id}


@pytest.mark.parametrize("verb", Verb)
def test_no_verb_finds_a_job_that_is_not_there(spool: Spool, verb: Verb) -> None:
    with pytest.raises(Problem, match="there is no job") as caught:
        command(spool, verb, "20261123T121728417-7f3a9c")
    assert caught.value.status == 404


@pytest.mark.parametrize("verb", [Verb.HOLD, Verb.RELEASE])
def test_what_waits_says_so_in_its_live_sidecar(spool: Spool, verb: Verb) -> None:
    job_id = _job_in(spool, Status.QUEUED if verb is Verb.HOLD else Status.HELD)
    status = command(spool, verb, job_id).status
    last = last_event(spool.events(job_id))
    assert last is not None
    assert last.data["status"] == status


def test_a_retry_repeats_the_request_and_the_seed_under_the_same_name(spool: Spool) -> None:
    first = _job_in(spool, Status.COMPLETED)
    second = command(spool, Verb.RETRY, first).job_id
    [name] = scan(spool.queued)
    ticket = Ticket.decode((spool.queued / str(name)).read_bytes())
    assert (ticket.job_id, ticket.retry_of, ticket.seed) == (second, first, 7)
    assert (ticket.drop_name, ticket.owner_uid) == ("a.json", 1000)


def test_a_release_says_nothing_behind_the_last_line_of_a_fast_daemon(spool: Spool) -> None:
    """A daemon may have claimed and finished the job before the release returns."""
    job_id = _job_in(spool, Status.HELD)
    slot = Slot.acquire(spool, "gpu0")

    def finish_it_at_once(*_: object) -> None:
        for name in scan(spool.queued):
            claim = slot.claim(name)
            assert claim is not None
            finish(claim, record_of(claim.ticket, Outcome(Status.CANCELLED, 1)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spool.durable.sync_directories", finish_it_at_once)
        command(spool, Verb.RELEASE, job_id)
    statuses = [event.data["status"] for event in read_events(spool.events(job_id))]
    assert statuses == ["queued", "cancelled"]


def _scenes(tmp_path: Path, status: Status) -> Callable[[], tuple[Spool, str]]:
    numbers = itertools.count()

    def prepare() -> tuple[Spool, str]:
        spool = Spool.create(tmp_path / str(next(numbers)))
        job_id = _job_in(spool, status)
        return spool, job_id

    return prepare


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [(Verb.HOLD, Status.QUEUED, Status.HELD), (Verb.RELEASE, Status.HELD, Status.QUEUED)],
)
def test_a_kill_at_any_line_of_a_hold_or_a_release_leaves_the_job_in_one_place(
    tmp_path: Path, verb: Verb, before: Status, after: Status
) -> None:
    order: list[Status | None] = [before, after]
    ends = []
    for spool, job_id in killed_at_each_effect(
        _scenes(tmp_path, before), lambda scene: command(scene[0], verb, scene[1])
    ):
        slot = Slot.acquire(spool, "gpu1", timeout_seconds=5)
        assert recover(slot, starting=True) == []
        ends.append(_status(spool, job_id))
        assert command(spool, verb, job_id).status is after
        assert _status(spool, job_id) is after
        slot.release()
    assert ends[0] is before
    assert ends == sorted(ends, key=order.index)


@pytest.mark.parametrize("key", [None, acceptance.key_of("order")], ids=["by hand", "dropped"])
def test_a_kill_at_any_line_of_a_retry_makes_one_job_or_none(
    tmp_path: Path, key: str | None
) -> None:
    caller = Caller("drop", 0, key)
    ends = []
    for spool, job_id in killed_at_each_effect(
        _scenes(tmp_path, Status.FAILED),
        lambda scene: command(scene[0], Verb.RETRY, scene[1], caller),
    ):
        slot = Slot.acquire(spool, "gpu1", timeout_seconds=5)
        acceptance.recover_admissions(spool)
        assert recover(slot, starting=True) == []
        new = len(scan(spool.queued))
        assert new <= 1
        if key is not None:  # what intake does with the order that is still there
            if not acceptance.is_known(spool, key):
                command(spool, Verb.RETRY, job_id, caller)
            new = len(scan(spool.queued))
            assert new == 1
        assert all(_status(spool, job) is not None for job in _jobs(spool))
        assert _status(spool, job_id) is Status.FAILED
        assert list(spool.pending.iterdir()) == []
        ends.append(new)
        slot.release()
    assert len(ends) > 4
    assert key is not None or set(ends) == {0, 1}


def _run_jobs(root: str, seed: int) -> None:
    """A daemon that claims, and finishes or puts back, without end."""
    dice = random.Random(seed)
    slot = Slot.acquire(Spool.open(Path(root)), f"gpu{seed}")
    while True:
        for name in scan(slot.spool.queued):
            claim = slot.claim(name)
            if claim is not None:
                _run_one(claim, dice)


def _run_one(claim: Claim, dice: random.Random) -> None:
    started = claim.start()
    time.sleep(dice.random() / 200)
    cancelled = claim.spool.cancel_request(claim.job_id).exists()
    if not cancelled and dice.random() < 0.5:
        started.put_back(0)
        return
    status = Status.CANCELLED if cancelled else Status.COMPLETED
    finish(started, record_of(started.ticket, Outcome(status, 1)))


def _hammer(root: str, job_ids: list[str], verbs: list[Verb], answers: Any) -> None:
    spool = Spool.open(Path(root))
    said: list[tuple[str, str]] = []
    for job_id, verb in itertools.product(job_ids, verbs):
        try:
            said.append((job_id, str(command(spool, verb, job_id).status)))
        except Problem as problem:
            said.append((job_id, str(problem.status)))
    answers.send(said)


def _race(spool: Spool, job_ids: list[str], plans: list[list[Verb]]) -> Iterator[tuple[str, str]]:
    """All that was answered to processes that each go through their verbs, two daemons beside."""
    answers = []
    with ExitStack() as stack:
        for seed in (1, 2):
            stack.enter_context(child(_run_jobs, str(spool.root), seed))
        for number, verbs in enumerate(plans):
            receiver, sender = multiprocessing.Pipe(duplex=False)
            mine = job_ids[number:] + job_ids[:number]
            stack.enter_context(child(_hammer, str(spool.root), mine, verbs, sender))
            answers.append(receiver)
        for receiver in answers:
            assert receiver.poll(60), "a process has died or hangs"
            yield from receiver.recv()


def test_verbs_of_many_processes_and_two_daemons_lose_and_double_no_job(spool: Spool) -> None:
    busy = Slot.acquire(spool, "gpu0")
    running = claim_job(busy)
    job_ids = [queue_job(spool).job_id for _ in range(40)]
    plans = [
        [Verb.HOLD, Verb.RELEASE, Verb.HOLD],
        [Verb.RELEASE, Verb.HOLD, Verb.RELEASE],
        [Verb.HOLD, Verb.RELEASE, Verb.CANCEL],
    ]
    said = list(_race(spool, job_ids, plans))
    slot = Slot.acquire(spool, "gpu1", timeout_seconds=5)
    recover(slot, starting=True)
    assert {answer for _, answer in said} <= {
        "409",
        *(status.value for status in Status),
    }
    for job_id in job_ids:
        status = _status(spool, job_id)
        assert status is not None
        answers = [answer for job, answer in said if job == job_id]
        if "cancelled" in answers:
            assert status is Status.CANCELLED
    # None of it touched the job that ran.
    assert running.path.exists()
    assert not spool.cancel_request(running.job_id).exists()
    assert _jobs(spool) == {running.job_id, *job_ids}
    busy.release()


def test_verbs_of_many_processes_cancel_every_job_in_the_end(spool: Spool) -> None:
    job_ids = [queue_job(spool).job_id for _ in range(16)]
    list(_race(spool, job_ids, [[Verb.HOLD, Verb.CANCEL], [Verb.RELEASE, Verb.CANCEL]]))
    slot = Slot.acquire(spool, "gpu1", timeout_seconds=5)
    recover(slot, starting=True)
    for name in scan(spool.queued):
        claim = slot.claim(name)
        assert claim is not None
        _run_one(claim, random.Random(0))
    statuses = {_status(spool, job_id) for job_id in job_ids}
    assert statuses <= {Status.CANCELLED, Status.COMPLETED}
    assert list(spool.live.glob("*.cancel")) == []
    assert list(spool.slot_of("cancel").iterdir()) == []

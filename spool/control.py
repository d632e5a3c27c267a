"""What users may do to a job: four verbs, and for each state what becomes of them.

|            | cancel          | hold           | release      | retry        |
|------------|-----------------|----------------|--------------|--------------|
| queued     | cancelled       | held           | as it is     | refused      |
| processing | asked to stop   | refused        | as it is     | refused      |
| held       | cancelled       | as it is       | queued       | refused      |
| completed  | as it is        | refused        | refused      | a new job    |
| failed     | as it is        | refused        | refused      | a new job    |
| cancelled  | as it is        | refused        | refused      | a new job    |

A waiting job is cancelled by claiming it: its ticket is renamed into active/cancel/ and finished
there, so that no daemon can come between. Every verb holds locks/cancel.lock, since a rename out
of held/ and one into it would otherwise chase each other. Where the ticket has moved before it
could be renamed, the job is looked up again: cancelling one that was queued a moment ago never
touches whatever runs instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus

from spool import durable
from spool.acceptance import Sender, admit, admit_keyed, draw_ticket
from spool.catalogue import Catalogue
from spool.claims import cancelling
from spool.finishing import finish_cancelled
from spool.ids import is_job_id
from spool.jobs import parse_request
from spool.layout import CANCEL_SLOT, Spool
from spool.problems import Problem
from spool.quoting import printable
from spool.records import Record, read_record
from spool.recovery import say
from spool.states import Found, Status, find

_LOOKS = 10  # no ticket moves that often while it is looked at


class Verb(StrEnum):
    """What is asked; also the suffix of a dropped order, `<job_id>.cancel`."""

    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `uid` None may do all; `key`, if any, makes a retry happen once only."""

    origin: str = "cli"
    uid: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The job that the answer is about (a retry's is new), and its status now.

    PROCESSING after a cancel means that it stops at its next step.
    """

    job_id: str
    status: Status


@dataclass(frozen=True, slots=True)
class _Job:
    """A job as it was found: with a record, or with a ticket."""

    spool: Spool
    job_id: str
    status: Status
    found: Found | None
    record: Record | None
    caller: Caller

    def answer(self, status: Status | None = None) -> Answer:
        return Answer(self.job_id, status or self.status)


_Action = Callable[[_Job], Answer | None]


_ANYONE = Caller()


def command(spool: Spool, verb: Verb, job_id: str, caller: Caller = _ANYONE) -> Answer:
    """Do `verb` to a job, as the table says; repeating it after a crash does no harm.

    Raises Problem: 404 if there is no such job, 403 if it is not the caller's, 409 if its state
    refuses the verb, 422 if a job to be retried can no longer be rendered.
    """
    for _ in range(_LOOKS):
        job = _look(spool, job_id, caller)
        answer = TABLE[job.status, verb](job)
        if answer is not None:
            return answer
    raise Problem(
        "Busy", f"job {job_id} moves faster than it can be reached; try again", status=409
    )


def _look(spool: Spool, job_id: str, caller: Caller) -> _Job:
    """The job where it is now. Raises Problem (404, 403)."""
    # A ticket that moves while the directories are read is missed, once or a few times.
    missed = False
    for _ in range(_LOOKS if is_job_id(job_id) else 0):
        record = read_record(spool, job_id)
        if record is not None:
            _check_owner(spool, job_id, record.owner_uid, caller)
            return _Job(spool, job_id, record.status, None, record, caller)
        found = find(spool, job_id)
        if found is not None:
            with suppress(FileNotFoundError):  # it has moved on: look again
                _check_owner(spool, job_id, _owner_of(found), caller)
                return _Job(spool, job_id, found.status, found, None, caller)
        elif missed and not spool.events(job_id).exists():
            break
        missed = found is None
    raise Problem(
        "No such job",
        f"there is no job {printable(job_id[:80])} in {spool.root}",
        status=HTTPStatus.NOT_FOUND,
    )


def _owner_of(found: Found) -> int | None:
    """The owner in the ticket; None if it is no ticket that can be read."""
    try:
        owner: int = json.loads(found.path.read_bytes())["owner_uid"]
    except (ValueError, KeyError, TypeError):
        return None
    return owner


def _check_owner(spool: Spool, job_id: str, owner_uid: int | None, caller: Caller) -> None:
    if caller.uid is None or caller.uid in {owner_uid, 0, spool.root.stat().st_uid}:
        return
    raise Problem(
        "Not yours",
        f"job {job_id} belongs to user {owner_uid}, the order came from user {caller.uid}",
        status=HTTPStatus.FORBIDDEN,
    )


def _stay(job: _Job) -> Answer:
    return job.answer()


def _refuse(why: str) -> _Action:
    def refuse(job: _Job) -> Answer:
        detail = f"job {job.job_id} is {job.status}: {why}"
        raise Problem("Not possible", detail, status=HTTPStatus.CONFLICT)

    return refuse


def _cancel_waiting(job: _Job) -> Answer | None:
    """Claim the ticket for cancelling and finish it; None if a daemon was faster.

    Raises Problem if it is no ticket that can be read; then it is on hold.
    """
    assert job.found is not None
    with cancelling(job.spool) as directory:
        if not durable.move(job.found.path, directory / job.found.path.name):
            return None
        if job.job_id in finish_cancelled(job.spool, directory):
            return job.answer(Status.CANCELLED)
    held = job.spool.held / str(job.found.name)
    detail = f"{held} cannot be read and is not cancelled; remove it by hand"
    raise Problem("Not readable", detail, status=HTTPStatus.CONFLICT)


def _cancel_processing(job: _Job) -> Answer | None:
    spool = job.spool
    assert job.found is not None
    if job.found.directory.name == CANCEL_SLOT:
        with cancelling(spool) as directory:
            finish_cancelled(spool, directory)
        return None
    durable.replace(spool.cancel_request(job.job_id), b"", scratch=spool.tmp, durable=False)
    # The finisher removes the request; if it has just finished, no one else would.
    record = read_record(spool, job.job_id)
    if record is None:
        return job.answer()
    durable.remove([spool.cancel_request(job.job_id)])
    return job.answer(record.status)


def _hold(job: _Job) -> Answer | None:
    spool = job.spool
    assert job.found is not None
    held = spool.held / str(job.found.name)
    with cancelling(spool):
        if not durable.move(job.found.path, held):
            return None
        durable.sync_directories(spool.queued, spool.held)
        # Nobody takes it out of held/ without the lock, so no line of its end comes before ours.
        say(spool, job.found.name, Status.HELD, reason="put on hold by a user")
    return job.answer(Status.HELD)


def _release(job: _Job) -> Answer | None:
    """Put a held job back into the queue, its starts and any request to stop it forgotten."""
    spool = job.spool
    assert job.found is not None
    name = replace(job.found.name, starts=0)
    with cancelling(spool):
        if not job.found.path.exists():
            return None
        durable.remove([spool.cancel_request(job.job_id)])
        # Before the rename: a daemon may finish the job before our next line of code.
        say(spool, name, Status.QUEUED)
        if not durable.move(job.found.path, spool.queued / str(name)):
            return None
    durable.sync_directories(spool.queued, spool.held)
    return job.answer(Status.QUEUED)


def _retry(job: _Job) -> Answer:
    """Queue the same request anew, with the seed that was drawn for it."""
    assert job.record is not None
    spool, record = job.spool, job.record
    sender = Sender(job.caller.origin, record.owner_uid, record.drop_name, job.caller.key)
    request = parse_request(record.request)
    ticket = draw_ticket(spool, request, Catalogue.read(spool), sender, retry_of=record)
    if ticket.key is None:
        admit(spool, ticket)
    else:
        admit_keyed(spool, ticket)
    return Answer(ticket.job_id, Status.QUEUED)


_unfinished = _refuse("only a finished job can be retried")
_finished = _refuse("nothing is left to be stopped; run it again with: retry")
_running = _refuse("it is being rendered; cancel it, or let it end")

TABLE: dict[tuple[Status, Verb], _Action] = {
    (Status.QUEUED, Verb.CANCEL): _cancel_waiting,
    (Status.QUEUED, Verb.HOLD): _hold,
    (Status.QUEUED, Verb.RELEASE): _stay,
    (Status.QUEUED, Verb.RETRY): _unfinished,
    (Status.PROCESSING, Verb.CANCEL): _cancel_processing,
    (Status.PROCESSING, Verb.HOLD): _running,
    (Status.PROCESSING, Verb.RELEASE): _stay,
    (Status.PROCESSING, Verb.RETRY): _unfinished,
    (Status.HELD, Verb.CANCEL): _cancel_waiting,
    (Status.HELD, Verb.HOLD): _stay,
    (Status.HELD, Verb.RELEASE): _release,
    (Status.HELD, Verb.RETRY): _unfinished,
    (Status.COMPLETED, Verb.CANCEL): _stay,
    (Status.COMPLETED, Verb.HOLD): _finished,
    (Status.COMPLETED, Verb.RELEASE): _finished,
    (Status.COMPLETED, Verb.RETRY): _retry,
    (Status.FAILED, Verb.CANCEL): _stay,
    (Status.FAILED, Verb.HOLD): _finished,
    (Status.FAILED, Verb.RELEASE): _finished,
    (Status.FAILED, Verb.RETRY): _retry,
    (Status.CANCELLED, Verb.CANCEL): _stay,
    (Status.CANCELLED, Verb.HOLD): _finished,
    (Status.CANCELLED, Verb.RELEASE): _finished,
    (Status.CANCELLED, Verb.RETRY): _retry,
}

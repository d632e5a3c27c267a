"""What a reader sees of a job: the object of `GET /api/jobs/{id}` and `genzo show --json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from spool import ids
from spool.layout import Spool
from spool.live import last_event, read_events
from spool.problems import on_hold
from spool.records import Record, read_record
from spool.states import Found, Status, TicketName, find, scan

_LOOKS = 10  # no ticket moves that often while it is looked at


@dataclass(frozen=True, slots=True)
class JobView:
    """One job, waiting, running or done.

    `queue_position` counts from 1 and is None unless the job is queued; `eta_seconds` is None
    unless somebody estimated it (`spool.outlook`); `step` and `total_steps` count over all
    pictures of the job, and `total_steps` is None until it starts.
    """

    job_id: str
    status: Status
    step: int
    total_steps: int | None
    queue_position: int | None
    eta_seconds: float | None
    request: dict[str, Any]
    job: dict[str, Any] | None
    seed: int
    images: tuple[dict[str, Any], ...]
    error: dict[str, Any] | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    starts: int
    slot: str | None
    retry_of: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def queue(spool: Spool) -> list[TicketName]:
    """The queued tickets in run order."""
    return scan(spool.queued)


def position(spool: Spool, job_id: str) -> int | None:
    """The place of `job_id` in the queue, from 1; None if it is not queued."""
    for place, name in enumerate(queue(spool), start=1):
        if name.job_id == job_id:
            return place
    return None


def job_view(spool: Spool, job_id: str) -> JobView | None:
    """What is known of `job_id`; None if there is no such job.

    A ticket may move behind a reader's back, so only who finds nothing twice knows that.
    """
    if not ids.is_job_id(job_id):
        return None
    missed = False
    for _ in range(_LOOKS):
        record = read_record(spool, job_id)
        if record is not None:
            return finished_view(spool, record)
        found = find(spool, job_id)
        if found is None and missed:
            return None
        missed = found is None
        view = unfinished_view(spool, found, position(spool, job_id)) if found else None
        if view is not None:
            return view
    return None


def unfinished_jobs(spool: Spool) -> Iterator[JobView]:
    """The jobs that run, wait or are on hold, in that order."""
    for slot in sorted(spool.active.iterdir()):
        yield from _views_in(spool, Status.PROCESSING, slot.name)
    yield from _views_in(spool, Status.QUEUED)
    yield from _views_in(spool, Status.HELD)


def _views_in(spool: Spool, status: Status, slot: str = "") -> Iterator[JobView]:
    directory = {
        Status.PROCESSING: spool.active / slot,
        Status.QUEUED: spool.queued,
        Status.HELD: spool.held,
    }[status]
    for place, name in enumerate(scan(directory), start=1):
        found = Found(status, directory, name)
        view = unfinished_view(spool, found, place if status is Status.QUEUED else None)
        if view is not None:
            yield view


def unfinished_view(spool: Spool, found: Found, place: int | None) -> JobView | None:
    """The view of a job by its ticket, `place` its position in the queue; None if it has moved."""
    try:
        ticket = json.loads(found.path.read_bytes())
        request, job, seed = ticket["request"], ticket["job"], ticket["seed"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    job_id = found.name.job_id
    last = last_event(spool.events(job_id))
    running = found.status is Status.PROCESSING
    seen = last.data if last and running else {}
    return JobView(
        job_id=job_id,
        status=found.status,
        step=seen.get("step", 0),
        total_steps=seen.get("total_steps"),
        queue_position=place,
        eta_seconds=None,
        request=request,
        job=job,
        seed=seed,
        images=(),
        error=_reason(spool, job_id) if found.status is Status.HELD else None,
        created_at=ids.created_at(job_id),
        started_at=None,
        finished_at=None,
        starts=found.name.starts,
        slot=found.directory.name if running else None,
        retry_of=ticket.get("retry_of"),
    )


def _reason(spool: Spool, job_id: str) -> dict[str, Any] | None:
    # Not the last line, which a release that was killed before it moved the ticket has written.
    lines = [event.data for event in read_events(spool.events(job_id))]
    reason = next((line["reason"] for line in reversed(lines) if "reason" in line), None)
    return None if reason is None else on_hold(reason)


def finished_view(spool: Spool, record: Record) -> JobView:
    """The view of a finished job by its record."""
    last = last_event(spool.events(record.job_id))
    steps = last.data if last else {}
    return JobView(
        job_id=record.job_id,
        status=record.status,
        step=steps.get("step", record.render.get("steps", 0)),
        total_steps=steps.get("total_steps", record.render.get("steps")),
        queue_position=None,
        eta_seconds=None,
        request=record.request,
        job=record.job,
        seed=record.seed,
        images=tuple(asdict(image) for image in record.images),
        error=record.error,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        starts=record.starts,
        slot=record.slot,
        retry_of=record.retry_of,
    )

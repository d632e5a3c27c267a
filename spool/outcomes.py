"""From a ticket and what became of it to the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spool import ids
from spool.records import PictureRecord, Record
from spool.states import Status
from spool.tickets import Ticket


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a daemon knows of a job's end; the rest of the record is in the ticket."""

    status: Status
    starts: int
    slot: str | None = None
    started_at: str | None = None
    images: tuple[PictureRecord, ...] = ()
    error: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    render: dict[str, Any] = field(default_factory=dict)


def record_of(ticket: Ticket, outcome: Outcome) -> Record:
    """The record of `ticket`, ended at this moment."""
    return Record(
        job_id=ticket.job_id,
        status=outcome.status,
        created_at=ids.created_at(ticket.job_id),
        started_at=outcome.started_at,
        finished_at=ids.now(),
        starts=outcome.starts,
        slot=outcome.slot,
        origin=ticket.origin,
        owner_uid=ticket.owner_uid,
        drop_name=ticket.drop_name,
        request=ticket.request.model_dump(mode="json", exclude_unset=True),
        seed=ticket.seed,
        job=ticket.job.model_dump(mode="json") if ticket.job else None,
        images=outcome.images,
        error=outcome.error,
        warnings=outcome.warnings,
        render=outcome.render,
        retry_of=ticket.retry_of,
    )

"""From a ticket and what became of it to the record."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

from spool import ids
from spool.gallery import PictureName, published_name
from spool.layout import Spool
from spool.picture_files import NotAPicture, size_px
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


def published(spool: Spool, ticket: Ticket) -> tuple[PictureRecord, ...]:
    """What the gallery has of a job, as its record shall tell if it ends before it is complete.

    A start that died may have published pictures of which whoever ends the job knows nothing.
    """
    names = (published_name(spool, ticket.job_id, n) for n in range(ticket.request.count))
    return tuple(
        picture_record(name, ticket.seed + name.index, name.picture(spool).read_bytes())
        for name in names
        if name is not None
    )


def picture_record(name: PictureName, seed: int, data: bytes) -> PictureRecord:
    """What a record tells of the picture whose file holds `data`."""
    try:
        width, height = size_px(io.BytesIO(data))
    except NotAPicture:  # no file of that name may end a recovery
        width, height = 0, 0
    digest = hashlib.sha256(data).hexdigest()
    return PictureRecord(str(name), name.index, seed, width, height, len(data), digest)

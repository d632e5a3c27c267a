"""The jobs of a spool page by page: those that run, wait or are on hold, then the finished ones.

A page goes on behind the last job of the one before it, by name and not by number, so that jobs
that come and finish meanwhile shift nothing. A job that finishes while the pages are turned has
been shown already, and is passed over among the finished ones; only one that both starts and ends
while the unfinished ones are still being shown may be shown as both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from typing import Self

from spool import ids
from spool.layout import Spool
from spool.records import Record, newest_first, read_record
from spool.states import Found, Status, scan
from spool.views import JobView, finished_view, unfinished_view

MAX_RECORDS = 1000
"""How many records one page reads in search of those that it shall show."""

BOOKMARK_PATTERN = (
    rf"^(?:(?:processing|queued|held)~[A-Za-z0-9._-]{{0,150}}|finished~(?:{ids.PATTERN})?)"
    r"~[0-9TZ:.-]{0,30}~[0-9TZ:.-]{0,30}$"
)


class Stage(StrEnum):
    """The parts of the list, in its order."""

    PROCESSING = "processing"
    QUEUED = "queued"
    HELD = "held"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where a page ends: behind `key` in `stage`.

    `began` is when the first page was read, `turned` when the last of the unfinished jobs had been
    shown; both are ISO 8601, UTC.
    """

    stage: Stage
    key: str
    began: str
    turned: str = ""

    def encode(self) -> str:
        """The bookmark as a word for a URL, which matches BOOKMARK_PATTERN."""
        return "~".join(astuple(self))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read a word that matches BOOKMARK_PATTERN: each such word is a place in the list."""
        stage, key, began, turned = text.split("~")
        return cls(Stage(stage), key, began, turned)


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, and where the next ones begin; None behind the last."""

    jobs: tuple[JobView, ...]
    next: Bookmark | None


def list_jobs(
    spool: Spool, limit: int, status: Status | None = None, behind: Bookmark | None = None
) -> Page:
    """At most `limit` jobs, of one `status` or of all, behind a bookmark of the same list.

    Where few records have the status that is asked for, a page may hold fewer, even none, and
    another one follow.
    """
    start = behind or Bookmark(_stages(status)[0], "", ids.now())
    entries = _entries(spool, start, status)
    jobs: list[JobView] = []
    records = 0
    for mark, view in entries:
        records += mark.stage is Stage.FINISHED
        if view is not None:
            jobs.append(view)
        if len(jobs) == limit or records == MAX_RECORDS:
            return Page(tuple(jobs), mark if next(entries, None) else None)
    return Page(tuple(jobs), None)


def _stages(status: Status | None) -> list[Stage]:
    if status is None:
        return list(Stage)
    return [Stage.FINISHED if status.is_final else Stage(status.value)]


def _entries(
    spool: Spool, start: Bookmark, status: Status | None
) -> Iterator[tuple[Bookmark, JobView | None]]:
    """What the list holds behind `start`; without a view what is passed over."""
    stages = _stages(status)
    for stage in stages[stages.index(start.stage) :] if start.stage in stages else []:
        key = start.key if stage is start.stage else ""
        if stage is Stage.FINISHED:
            mark = start if start.turned else replace(start, turned=ids.now())
            yield from _finished(spool, replace(mark, stage=stage, key=key), status)
        else:
            yield from _unfinished(spool, replace(start, stage=stage, key=key))


def _unfinished(spool: Spool, start: Bookmark) -> Iterator[tuple[Bookmark, JobView | None]]:
    for key, found, place in _tickets(spool, start.stage):
        if key > start.key:
            # A ticket that has its record already is about to go, and is shown there.
            is_finished = spool.record(found.name.job_id).exists()
            view = None if is_finished else unfinished_view(spool, found, place)
            yield replace(start, key=key), view


def _tickets(spool: Spool, stage: Stage) -> Iterator[tuple[str, Found, int | None]]:
    """The tickets in the order in which they are listed, by names that sort alike."""
    if stage is Stage.PROCESSING:
        slots = [(slot, name) for slot in spool.active.iterdir() for name in scan(slot)]
        for key, slot, name in sorted((f"{slot.name}.{name}", slot, name) for slot, name in slots):
            yield key, Found(Status.PROCESSING, slot, name), None
        return
    status, directory = {
        Stage.QUEUED: (Status.QUEUED, spool.queued),
        Stage.HELD: (Status.HELD, spool.held),
    }[stage]
    for place, name in enumerate(scan(directory), start=1):
        found = Found(status, directory, name)
        yield str(name), found, place if status is Status.QUEUED else None


def _finished(
    spool: Spool, start: Bookmark, status: Status | None
) -> Iterator[tuple[Bookmark, JobView | None]]:
    for job_id in newest_first(spool, start.key or None):
        record = _record(spool, job_id)
        is_listed = record is not None and (
            record.status is status if status else not _was_shown(record, start)
        )
        view = finished_view(spool, record) if record is not None and is_listed else None
        yield replace(start, key=job_id), view


def _was_shown(record: Record, mark: Bookmark) -> bool:
    """Whether the job was shown among the unfinished ones."""
    ran_at_first = record.started_at is not None and record.started_at < mark.began
    return record.finished_at > (mark.began if ran_at_first else mark.turned)


def _record(spool: Spool, job_id: str) -> Record | None:
    try:
        return read_record(spool, job_id)
    except (OSError, ValueError, KeyError, TypeError):
        return None

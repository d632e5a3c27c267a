"""A job's state is the directory its ticket lies in; this module reads it from names alone.

A ticket is named `<rank>-<job_id>.<starts>.json`. Sorted names are the run order; `starts`
counts how often GPU work began, so that a dead process loses no count and a full disk can still
write it. Its content never changes: a ticket moves, and is removed at the end.

    queued  ──claim──►  active/<slot>  ──finish──►  (record in done/)
       ▲                   │    │
       └────put back───────┘    └──two deaths──►  held
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from spool import ids
from spool.layout import Spool

_NAME = re.compile(rf"(\d\d)-({ids.PATTERN})\.(\d{{1,4}})\.json", re.ASCII)


class Status(StrEnum):
    """What a user is told about a job; the words of the HTTP contract."""

    QUEUED = "queued"
    PROCESSING = "processing"
    HELD = "held"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


@dataclass(frozen=True, slots=True, order=True)
class TicketName:
    """What the file name of a ticket says; orders as the queue runs."""

    rank: int
    job_id: str
    starts: int

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The parts of `name`, or None if it is no ticket's."""
        match = _NAME.fullmatch(name)
        return match and cls(int(match[1]), match[2], int(match[3]))

    def __str__(self) -> str:
        return f"{self.rank:02d}-{self.job_id}.{self.starts}.json"

    def started(self) -> Self:
        """The same ticket with one start more."""
        return replace(self, starts=self.starts + 1)


def rank_of(priority: int) -> int:
    """The rank, 0 to 99 and lowest first, of a priority, 1 to 100 and highest first."""
    return 100 - priority


def scan(directory: Path) -> list[TicketName]:
    """The tickets in `directory`, in run order; other files are passed over."""
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    # Sorted as strings, in the same order: twice as fast as comparing the parts.
    return list(filter(None, map(TicketName.parse, sorted(names))))


@dataclass(frozen=True, slots=True)
class Found:
    """Where a job's ticket lies."""

    status: Status
    directory: Path
    name: TicketName

    @property
    def path(self) -> Path:
        return self.directory / str(self.name)


def find(spool: Spool, job_id: str) -> Found | None:
    """The ticket of `job_id` in the queue, in a slot or on hold; None if it has none.

    A ticket may move from a directory not yet read to one already read; who needs certainty
    asks twice.
    """
    for status, directory in _places(spool):
        for name in scan(directory):
            if name.job_id == job_id:
                return Found(status, directory, name)
    return None


def _places(spool: Spool) -> list[tuple[Status, Path]]:
    slots = sorted(spool.active.iterdir())
    # After a crash of the host a job may be in two of them: the later state counts.
    return [
        *((Status.PROCESSING, slot) for slot in slots),
        (Status.HELD, spool.held),
        (Status.QUEUED, spool.queued),
    ]


def job_ids_with_tickets(spool: Spool) -> set[str]:
    """The ids of all jobs that are queued, active or held."""
    return {name.job_id for _, directory in _places(spool) for name in scan(directory)}


def unfinished_job_ids(spool: Spool) -> frozenset[str]:
    """The ids of all jobs that have a ticket, or an acceptance under way.

    An acceptance becomes a ticket, so those are read first. A ticket may move from a directory
    not yet read to one already read, but not twice.
    """
    accepted = {name.removesuffix(".json") for name in os.listdir(spool.pending)}
    first = job_ids_with_tickets(spool)
    return frozenset(accepted | first | job_ids_with_tickets(spool))

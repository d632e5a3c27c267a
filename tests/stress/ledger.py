"""What was done, in order: one line a fact, appended by whoever did it once it was done.

A kill between the deed and its line leaves a line out. So what is missing here proves nothing,
but a line that stands twice does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Fact(StrEnum):
    """What a line says."""

    ADMITTED = "admitted"
    STARTED = "started"
    PUT_BACK = "put-back"
    PUBLISHED = "published"
    RECORDED = "recorded"
    RELEASED = "released"
    OVERLAP = "overlap"
    """Another living process ran the job too."""
    CLASH = "clash"
    """A picture that was missing when the run began had been published by another."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line; `detail` is a picture's index, a status, or the pid of another runner."""

    fact: Fact
    job_id: str
    detail: str
    pid: int


class Ledger:
    """An append-only file outside the spool."""

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)

    def note(self, fact: Fact, job_id: str, detail: object = "-") -> None:
        os.write(self._descriptor, f"{fact} {job_id} {detail} {os.getpid()}\n".encode())

    def read(self) -> Iterator[Entry]:
        for line in self._path.read_text().splitlines():
            fact, job_id, detail, pid = line.split()
            yield Entry(Fact(fact), job_id, detail, int(pid))

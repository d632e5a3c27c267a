"""Who is at what: one cell of a shared file for each process, written by that process alone.

A runner writes its own cell first and looks at the others then, so of two that run one job at
once at least one sees the other. It is a file, not shared memory, because the kernel orders a
write and the read after it, which processors do not. A dead process's cell is no runner's.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

_CELL = struct.Struct("=IIIII")
_RUNNING = struct.Struct("=II")
_WORD = struct.Struct("=I")
_EXITING = 0x4  # PF_EXITING of <linux/sched.h>: it runs no more code of its own


class Phase(IntEnum):
    """What a process is doing; a kill is counted under it."""

    WAKING = 0
    RECOVERING = 1
    LOOKING = 2
    CLAIMING = 3
    STARTING = 4
    RENDERING = 5
    PUTTING_BACK = 6
    UNCOUNTING = 7
    PUBLISHING = 8
    FINISHING = 9
    ADMITTING = 10
    CANCELLING = 11
    RELEASING = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """What one process says: its pid, its phase, and the numbers of the jobs that it runs.

    `at` is the job at hand, `behind` one whose pictures are still being published, `sent` the
    one that a submitter is at; 0 is none.
    """

    pid: int
    phase: Phase
    at: int
    behind: int
    sent: int


class Board:
    """The cells of `processes` processes. Opened once; its descriptor is shared by forks."""

    def __init__(self, descriptor: int, processes: int) -> None:
        self._descriptor = descriptor
        self._processes = processes

    @classmethod
    def create(cls, path: Path, processes: int) -> Self:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.ftruncate(descriptor, processes * _CELL.size)
        return cls(descriptor, processes)

    def enter(self, number: int) -> None:
        """Begin a life in cell `number`."""
        os.pwrite(self._descriptor, _WORD.pack(os.getpid()), number * _CELL.size)

    def says(self, number: int, phase: Phase) -> None:
        os.pwrite(self._descriptor, _WORD.pack(phase), number * _CELL.size + 4)

    def runs(self, number: int, at: int, behind: int = 0) -> list[int]:
        """Say what cell `number` runs; the pids of living processes that run one of these too."""
        os.pwrite(self._descriptor, _RUNNING.pack(at, behind), number * _CELL.size + 8)
        jobs = {at, behind} - {0}
        return [
            cell.pid
            for other, cell in enumerate(self.read())
            if other != number and jobs & {cell.at, cell.behind} and _is_living(cell.pid)
        ]

    def sends(self, number: int, job: int) -> None:
        """Say that cell `number`, a submitter's, is at `job`."""
        os.pwrite(self._descriptor, _WORD.pack(job), number * _CELL.size + 16)

    def read(self) -> list[Cell]:
        data = os.pread(self._descriptor, self._processes * _CELL.size, 0)
        return [Cell(pid, Phase(phase), *jobs) for pid, phase, *jobs in _CELL.iter_unpack(data)]

    def clear(self, number: int) -> Cell:
        """What cell `number` said last; empty from now on. For a process that was waited for."""
        last = self.read()[number]
        os.pwrite(self._descriptor, bytes(_CELL.size), number * _CELL.size)
        return last


def _is_living(pid: int) -> bool:
    """Whether `pid` may still do something; a dying process loses its locks before it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    fields = status[status.rindex(")") + 2 :].split()
    return fields[0] not in {"Z", "X"} and not int(fields[6]) & _EXITING

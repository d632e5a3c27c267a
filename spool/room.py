"""Room on the disk: below a floor of bytes or inodes nothing is accepted and nothing started.

A disk that is full to the last byte can finish nothing either; the floor leaves room for what is
being rendered. Renames work on a full disk, so a ticket always gets back to the queue.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from http import HTTPStatus

from spool.layout import Spool
from spool.problems import Problem
from spool.settings import DiskSettings

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_BROKEN = frozenset({errno.EROFS, errno.EIO})


class NoRoom(Problem):
    """The disk has less room than its floor (507)."""

    def __init__(self, detail: str) -> None:
        super().__init__("No room", detail, status=HTTPStatus.INSUFFICIENT_STORAGE)


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has left for us; `inodes` is None where it makes them as it needs."""

    bytes: int
    inodes: int | None

    @classmethod
    def of(cls, spool: Spool) -> Room:
        """The room on the spool's disk. Raises OSError if the spool is gone."""
        status = os.statvfs(spool.root)
        inodes = status.f_favail if status.f_files else None
        return cls(status.f_bavail * status.f_frsize, inodes)


def require_room(spool: Spool, floor: DiskSettings) -> None:
    """Raise NoRoom if the spool's disk has less free than `floor`."""
    room = Room.of(spool)
    faults = []
    if room.bytes < floor.floor_bytes:
        faults.append(f"{room.bytes >> 20} MiB are free, the floor is {floor.floor_bytes >> 20}")
    if room.inodes is not None and room.inodes < floor.floor_inodes:
        faults.append(f"{room.inodes} inodes are free, the floor is {floor.floor_inodes}")
    if faults:
        raise NoRoom(
            f"the disk of {spool.root} is full: {' and '.join(faults)} (genzo.toml, [disk]); "
            "make room with: genzo clean; work goes on by itself"
        )


def is_full(error: BaseException) -> bool:
    """Whether `error` says that there is no room, which comes back, not that the disk broke."""
    return isinstance(error, OSError) and error.errno in _FULL


def is_disk_error(error: BaseException) -> bool:
    """Whether `error` is the disk's own: full, read-only or broken."""
    return isinstance(error, OSError) and error.errno in _FULL | _BROKEN

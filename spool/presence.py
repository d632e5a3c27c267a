"""Whether the spool is still the one that was opened, and still has the shape it was given.

A disk may be unmounted, another mounted over it, the directory removed and made anew. Everything
we hold then (locks, watches, open files) belongs to a spool that no one else sees any more, and
no event tells. So the identities are compared at every scan; whoever finds another one lets go
of all it holds, waits, and begins anew.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from spool import durable
from spool.layout import DIRECTORIES, MARKER, MODES, Spool
from spool.problems import SpoolError

log = logging.getLogger(__name__)


class SpoolGone(SpoolError):
    """The spool that was opened is no longer at its path."""


class Presence:
    """Remembers which directories a spool was opened with."""

    def __init__(self, spool: Spool, *directories: Path) -> None:
        """Remember the root of `spool`, its locks and `directories`. Raises SpoolGone."""
        self._spool = spool
        self._directories = (spool.root, spool.locks, *directories)
        self._identities = self._look()

    def check(self) -> None:
        """Raise SpoolGone, saying what happened, if the spool is gone or is another one."""
        for path, before, now in zip(
            self._directories, self._identities, self._look(), strict=True
        ):
            if before != now:
                raise SpoolGone(
                    f"{path} is no longer the directory that was opened: it was replaced, "
                    "unmounted or mounted over"
                )

    def _look(self) -> list[tuple[int, int]]:
        try:
            (self._spool.root / MARKER).stat()
            states = [path.stat() for path in self._directories]
        except OSError as error:
            raise SpoolGone(f"{error.filename} is gone: {error.strerror}") from None
        return [(state.st_dev, state.st_ino) for state in states]


def restore(spool: Spool) -> list[str]:
    """Make the directories that are missing and give back the modes that matter; what was done.

    An rsync as root, or as the daemon's user, gives the drop box the mode of the directory it was
    sent from, and as root its owner too; then strangers could list and read it, or drop nothing
    any more. Only root can give the owner back: that of the spool.
    """
    owner = spool.root.stat()
    done = []
    for name in DIRECTORIES:
        path = spool.root / name
        if not path.is_dir():
            durable.make_directory(path, within=spool.root, mode=MODES.get(name, 0o2750))
            done.append(f"{path} was missing and is made again")
        elif name in MODES:
            done += filter(None, [_restore_owner(path, owner), _restore_mode(path, MODES[name])])
    return done


def _restore_owner(path: Path, wanted: os.stat_result) -> str | None:
    found = path.stat()
    if os.geteuid() != 0 or (found.st_uid, found.st_gid) == (wanted.st_uid, wanted.st_gid):
        return None
    os.chown(path, wanted.st_uid, wanted.st_gid)
    return (
        f"{path} belonged to user {found.st_uid} and group {found.st_gid}, and belongs to user "
        f"{wanted.st_uid} and group {wanted.st_gid} again"
    )


def _restore_mode(path: Path, mode: int) -> str | None:
    found = path.stat()
    present = stat.S_IMODE(found.st_mode)
    if present == mode:
        return None
    try:
        path.chmod(mode)
    except PermissionError:
        return (
            f"{path} has mode {present:o} and not {mode:o}, and belongs to user {found.st_uid}, "
            f"not to us ({os.geteuid()}): as root, chown it to the daemon's user"
        )
    return f"{path} had mode {present:o} and has {mode:o} again"

"""The locks of a spool: `flock` on files that are never removed."""

from __future__ import annotations

import errno

from filelock import FileLock

from spool.layout import Spool


def lock(spool: Spool, name: str) -> FileLock:
    """The lock `name`, not yet held. Raises FileNotFoundError if the spool is gone.

    filelock would make the directories that it misses, and with them a second spool where a disk
    is no longer mounted. Not thread-local, since one thread may take it and another ask; never
    the soft kind, whose file outlives its holder.
    """
    if not spool.locks.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the spool is gone", str(spool.locks))
    return FileLock(spool.lock(name), thread_local=False, fallback_to_soft=False)

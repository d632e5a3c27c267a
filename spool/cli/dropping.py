"""Dropping a file into incoming/ as any program may, for those who may not write work/."""

from __future__ import annotations

import os
import secrets

from spool import durable
from spool.layout import Spool


def may_write(spool: Spool) -> bool:
    """Whether we may move tickets ourselves."""
    return os.access(spool.queued, os.W_OK)


def drop(spool: Spool, name: str, data: bytes) -> None:
    """Drop `data` as `name`, whole at once: written under a dot-name, then renamed."""
    # A dot-name that no stranger can guess, and take before us.
    temporary = spool.incoming / f".{name}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, durable.FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), durable.FILE_MODE)
        os.fsync(file.fileno())
    temporary.rename(spool.incoming / name)

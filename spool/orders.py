"""Orders: `incoming/<job_id>.<verb>`, for those who may not write work/ themselves.

Only the file's name and owner count, so an unreadable or empty file is as good as any. An order
is obeyed if its owner is the job's, the spool's or root, and is remembered by its key: an rsync
that sends it every minute is obeyed once.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self

from spool.acceptance import key_of
from spool.control import Answer, Caller, Verb, command
from spool.drops import folder_of
from spool.ids import is_job_id
from spool.layout import Spool
from spool.problems import Problem


@dataclass(frozen=True, slots=True)
class Order:
    """A verb for a job."""

    job_id: str
    verb: Verb

    @classmethod
    def parse(cls, spool: Spool, path: Path) -> Self | None:
        """The order that `path` in incoming/ is by its name; None if it is none."""
        job_id, _, verb = path.name.rpartition(".")
        if path.parent != spool.incoming or not is_job_id(job_id) or verb not in set(Verb):
            return None
        return cls(job_id, Verb(verb))


def order_key(spool: Spool, path: Path) -> str:
    """The key of the order at `path`; raises FileNotFoundError if it is gone."""
    status = _look(spool, path)
    # With the owner: a stranger's order, which is refused, must not make the owner's known.
    return key_of("order", path.name, status.st_uid, status.st_size, status.st_mtime_ns)


def obey(spool: Spool, order: Order, path: Path, key: str) -> Answer:
    """Do what the file at `path` orders. Raises Problem, 403 if it is not its owner's job."""
    status = _look(spool, path)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        # A further link to a file of someone else's would speak in that one's name.
        raise Problem(
            "Not an order",
            f"{path.name}: an order is a regular file with one name; make it with: touch",
            status=HTTPStatus.FORBIDDEN,
        )
    return command(spool, order.verb, order.job_id, Caller("drop", status.st_uid, key))


def _look(spool: Spool, path: Path) -> os.stat_result:
    with folder_of(spool, path) as folder:
        return os.stat(path.name, dir_fd=folder, follow_symlinks=False)

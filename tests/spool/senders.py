"""A spool as the service has it, which is not root's, and those who send to it."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spool import patience
from spool.intake import Intake
from spool.layout import Spool
from tests.spool.dropbox import CATALOGUE, PACKAGE
from tests.spool.processes import NOBODY, become, child

DAEMON = 64000
"""The daemon's user, and the group of all who may drop."""


@dataclass(frozen=True)
class Sender:
    """A user who sends jobs; every command runs as that user, with that umask."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def run(self, *command: object, umask: int = 0o022) -> int:
        """Run `command` to its end; its exit status."""
        return subprocess.run(
            list(map(str, command)),
            check=False,
            cwd="/",
            user=self.uid,
            group=self.gid,
            extra_groups=self.groups,
            umask=umask,
            timeout=30,
        ).returncode

    def write(self, path: Path, text: str, mtime: float | None = None) -> Path:
        """A file of the sender's own."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        for made in (path, path.parent):
            os.chown(made, self.uid, self.gid)
        return path


MEMBER = Sender("a member of the group", NOBODY, NOBODY, (DAEMON,))
ROOT = Sender("root", 0, 0)
OWNER = Sender("the daemon's user", DAEMON, DAEMON)


def service_spool(directory: Path) -> Spool:
    """A spool in `directory` that belongs to the daemon's user and group."""
    spool = Spool.create(directory / "spool")
    for path in [spool.root, *spool.root.rglob("*")]:
        mode = path.stat().st_mode
        os.chown(path, DAEMON, DAEMON)
        path.chmod(mode)
    return spool


def _serve(spool: Spool, log: Path) -> None:
    become(DAEMON)
    os.umask(0o027)
    logging.basicConfig(filename=log, level=logging.INFO, force=True)
    PACKAGE.setLevel(logging.INFO)
    thread = Intake(spool, lambda: CATALOGUE)
    thread.start()
    thread.join()


@contextmanager
def serving(spool: Spool) -> Iterator[Path]:
    """An intake that runs as the daemon's user; yields its log."""
    log = spool.root.parent / "log"
    with child(_serve, spool, log):
        yield log


def still_seconds() -> float:
    """How long a file waits in the running intake, and a little more."""
    return patience.STILL_SECONDS + 0.3

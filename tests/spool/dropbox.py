"""A drop box with an intake, and what became of the files in it."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from spool import intake, patience, states
from spool.catalogue import Catalogue
from spool.intake import Intake
from spool.layout import Spool
from spool.outgoing import PROBLEM, outgoing_name
from spool.settings import DiskSettings, Settings
from spool.tickets import Ticket
from tests.spool.samples import MODEL

CATALOGUE = Catalogue({MODEL.name: MODEL})
PACKAGE = logging.getLogger("spool")
JOB = '{"prompt": "a red circle"}'


@contextmanager
def running(
    spool: Spool,
    catalogue: Callable[[], Catalogue] = lambda: CATALOGUE,
    *,
    watch: Literal["events", "poll"] = "events",
) -> Iterator[Intake]:
    thread = Intake(spool, catalogue, Settings(watch=watch, disk=DiskSettings(floor_bytes=0)))
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
        thread.join(10)
        assert not thread.is_alive()


def queued_tickets(spool: Spool) -> list[Ticket]:
    return [
        Ticket.decode((spool.queued / str(name)).read_bytes()) for name in states.scan(spool.queued)
    ]


def drop_names(spool: Spool) -> list[str]:
    """The names of the drops that became jobs."""
    return sorted(ticket.drop_name or "" for ticket in queued_tickets(spool))


def left_over(spool: Spool) -> list[str]:
    return sorted(
        path.relative_to(spool.incoming).as_posix()
        for path in spool.incoming.rglob("*")
        if not path.is_dir()
    )


def reason(spool: Spool, name: str) -> str:
    report = json.loads((spool.rejected / f"{name}.problem.json").read_bytes())
    return str(report["detail"])


def delivered_reason(spool: Spool, name: str) -> str | None:
    """What an rsync fetches of why the drop `name` was refused; None if there is no reason."""
    try:
        report = json.loads((spool.outgoing / outgoing_name(name) / PROBLEM).read_bytes())
    except FileNotFoundError:
        return None
    return str(report["detail"])


def rejected(spool: Spool) -> list[str]:
    """The names of the refused files that were kept, without their reasons."""
    return sorted(
        path.relative_to(spool.rejected).as_posix()
        for path in spool.rejected.rglob("*")
        if not path.is_dir() and not path.name.endswith(".problem.json")
    )


def moved_in(spool: Spool, name: str, content: str = JOB) -> Path:
    """Drop a file whole at once, by a rename, which intake sees at once."""
    temporary = spool.incoming / f".{name.replace('/', '_')}.{secrets.token_hex(4)}"
    temporary.write_text(content)
    return temporary.rename(spool.incoming / name)


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Let an intake wait for nothing long."""
    patch.setattr(patience, "STILL_SECONDS", 0.3)
    patch.setattr(patience, "REFUSE_SECONDS", 1.0)
    patch.setattr(intake, "SCAN_SECONDS", 0.5)
    patch.setattr(intake, "_LOOK_SECONDS", 0.05)
    patch.setattr(intake, "_TAKE_OVER_SECONDS", 0.1)


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def logged() -> Iterator[Log]:
    handler = Log()
    PACKAGE.addHandler(handler)
    yield handler
    PACKAGE.removeHandler(handler)

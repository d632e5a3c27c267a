"""A drop box with an intake, and what became of the files in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from spool import states
from spool.catalogue import Catalogue
from spool.intake import Intake
from spool.layout import Spool
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

"""Where log lines go: to the journal with fields of their own, or to standard error.

Under systemd each line that is about a job carries `GENZO_JOB`, and those of a daemon `GENZO_SLOT`
and where one is at work `GENZO_MODEL`: `journalctl -u genzod@0 GENZO_JOB=<job id>` is the life
of one job.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from spool import ids

if TYPE_CHECKING:
    from logging_journald import JournaldTransport

_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
"""Levels in the words of syslog(3)."""


def start_logging(program: str, **fields: str) -> None:
    """Log to the journal if standard error leads there, else to standard error with the time.

    `fields`, such as `GENZO_SLOT`, stand in every line.
    """
    logging.basicConfig(level=logging.INFO, handlers=[_handler(program, fields)])


def _handler(program: str, fields: dict[str, str]) -> logging.Handler:
    if _leads_to_journal():
        from logging_journald import JournaldTransport  # noqa: PLC0415

        return JournalHandler(JournaldTransport(connected=False), program, fields)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _leads_to_journal() -> bool:
    """Whether standard error is the stream that systemd names in JOURNAL_STREAM (systemd.exec)."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalHandler(logging.Handler):
    """Sends log lines in the journal's own protocol, with fields to search for."""

    def __init__(self, transport: JournaldTransport, program: str, fields: dict[str, str]) -> None:
        super().__init__()
        self._transport = transport
        self.setFormatter(logging.Formatter("%(message)s"))
        self._fixed = [("SYSLOG_IDENTIFIER", program), *fields.items()]

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._transport.send(
                [
                    ("MESSAGE", self.format(record)),
                    ("PRIORITY", _PRIORITIES.get(record.levelno, 6)),
                    ("GENZO_LOGGER", record.name),
                    *self._fixed,
                    *_of_job(record),
                ]
            )
        except Exception:
            self.handleError(record)


def _of_job(record: logging.LogRecord) -> list[tuple[str, str]]:
    """The fields of a line about a job: by our rule its first argument is the job's id."""
    first = record.args[0] if isinstance(record.args, tuple) and record.args else None
    fields = []
    if isinstance(first, str) and ids.is_job_id(first):
        fields.append(("GENZO_JOB", first))
    model = getattr(record, "model", None)
    if model is not None:
        fields.append(("GENZO_MODEL", str(model)))
    return fields

"""What a check found, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from spool.quoting import printable

_SHOWN = 10


class Level(StrEnum):
    """How bad a finding is; the worst first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one place, and the remedy, a command or a setting; "" if none is due.

    Places and sentences may quote what strangers wrote, so each is made printable here.
    """

    level: Level
    where: str
    what: str
    remedy: str = ""

    def __post_init__(self) -> None:
        for name in ("where", "what", "remedy"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    @property
    def is_fault(self) -> bool:
        """Whether it is an error or a warning."""
        return self.level in {Level.ERROR, Level.WARNING}


def error(where: object, what: str, remedy: str = "") -> Finding:
    return Finding(Level.ERROR, str(where), what, remedy)


def warning(where: object, what: str, remedy: str = "") -> Finding:
    return Finding(Level.WARNING, str(where), what, remedy)


def note(where: object, what: str, remedy: str = "") -> Finding:
    return Finding(Level.NOTE, str(where), what, remedy)


def ok(where: object, what: str) -> Finding:
    return Finding(Level.OK, str(where), what)


def few(findings: Iterable[Finding], where: object) -> Iterator[Finding]:
    """The first of many findings of one kind, and how many more there are."""
    more = 0
    worst = Level.NOTE
    for number, finding in enumerate(findings):
        if number < _SHOWN:
            yield finding
        else:
            more += 1
            worst = Level.WARNING if finding.is_fault else worst
    if more:
        yield Finding(worst, str(where), f"and {more} more like the last")


def identity(uid: int) -> str:
    """A user, for a sentence."""
    return "root" if uid == 0 else f"user {uid}"


def us() -> str:
    """The user that this process acts as."""
    return identity(os.geteuid())

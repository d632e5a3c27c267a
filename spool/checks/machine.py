"""What the machine gives: room, limits of file events, protection of links, the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spool import records
from spool.checks.findings import Finding, error, note, ok, warning
from spool.ids import created_ms, is_job_id
from spool.layout import Spool
from spool.room import NoRoom, Room, require_room
from spool.settings import Settings

CLOCK_SECONDS = 60.0
"""How far ahead of the clock an id may be: a sender's clock may differ."""

_SYSCTL = Path("/proc/sys/fs")


def room(spool: Spool, settings: Settings) -> Iterator[Finding]:
    """Whether there is more room than the floor of [disk]."""
    free = Room.of(spool)
    inodes = "" if free.inodes is None else f" and {free.inodes} inodes"
    try:
        require_room(spool, settings.disk)
    except NoRoom as problem:
        yield error(spool.root, problem.detail)
    else:
        yield ok(spool.root, f"{free.bytes >> 20} MiB{inodes} are free")


@dataclass(frozen=True, slots=True)
class Events:
    """Watches and instances of inotify: what a user may have, or what is needed."""

    watches: int
    instances: int


def events(spool: Spool, settings: Settings) -> Iterator[Finding]:
    """Whether the services may watch all directories that they have to."""
    if settings.watch == "poll":
        return
    limit = Events(
        int((_SYSCTL / "inotify" / "max_user_watches").read_text()),
        int((_SYSCTL / "inotify" / "max_user_instances").read_text()),
    )
    services = len(list(spool.slots.glob("*.json"))) + 1  # and genzo-httpd
    work = _count_directories(spool.work, limit.watches)
    incoming = _count_directories(spool.incoming, limit.watches)
    # Each watches work/; the one that is the intake watches incoming/ too.
    yield from judge_events(limit, Events(work * services + incoming, services + 1))


def judge_events(limit: Events, need: Events) -> Iterator[Finding]:
    """What the limits mean for what is needed; other programs of the user share them."""
    for name, allowed, needed in (
        ("max_user_watches", limit.watches, need.watches),
        ("max_user_instances", limit.instances, need.instances),
    ):
        setting = f"fs.inotify.{name}"
        if needed > allowed:
            yield warning(
                setting,
                f"is {allowed}, the spool's services need {needed}: jobs wait for the scan",
                f"sysctl {setting}={2 * needed}",
            )
        elif 2 * needed > allowed:
            yield note(setting, f"is {allowed}, of which the spool's services need {needed}")


def _count_directories(tree: Path, most: int) -> int:
    """How many directories there are from `tree` on; stops counting above `most`."""
    found = 0
    for _ in os.walk(tree):
        found += 1
        if found > most:
            break
    return found


def links(_spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether users may link files of others into the drop box."""
    path = _SYSCTL / "protected_hardlinks"
    if path.exists():
        yield from judge_links(path.read_text().strip())


def judge_links(value: str) -> Iterator[Finding]:
    """What fs.protected_hardlinks means."""
    if value != "1":
        yield warning(
            "fs.protected_hardlinks",
            f"is {value}: any user may link other users' files into the drop box",
            "sysctl fs.protected_hardlinks=1",
        )


def clock(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether the newest job is ahead of the clock."""
    live = (entry.name.partition(".")[0] for entry in os.scandir(spool.live))
    newest = max(
        filter(is_job_id, live),
        default="",
    )
    newest = max(newest, next(records.newest_first(spool), ""))
    if not newest:
        return
    ahead = created_ms(newest) / 1000 - time.time()
    if ahead > CLOCK_SECONDS:
        yield warning(
            newest,
            f"is the newest job's id, {ahead:.0f} s ahead of the clock; ids follow it until the "
            "clock has caught up",
            "set the clock (timedatectl)",
        )

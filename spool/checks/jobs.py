"""The tickets: in the wrong place, in two places, unreadable, or on hold."""

from __future__ import annotations

import itertools
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from spool.checks.findings import Finding, error, few, note, warning
from spool.ids import is_job_id
from spool.layout import Spool
from spool.live import last_event
from spool.settings import Settings
from spool.states import TicketName, scan
from spool.tickets import Ticket

PATIENCE_SECONDS = 60.0
"""How long an acceptance, or a daemon that is asked to stop, may take."""

_TICKETS_READ = 1000


def _places(spool: Spool) -> list[Path]:
    """The directories of tickets, the earlier state first: of two names the later counts."""
    return [spool.queued, spool.held, *sorted(spool.active.iterdir())]


def places(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether each job has one ticket, and none once it has a record."""
    tickets: defaultdict[str, list[Path]] = defaultdict(list)
    for directory in _places(spool):
        for name in scan(directory):
            tickets[name.job_id].append(directory / str(name))
    yield from few(_double(spool, tickets), spool.work)


def _double(spool: Spool, tickets: dict[str, list[Path]]) -> Iterator[Finding]:
    for job_id, paths in tickets.items():
        # A ticket may have moved while the directories were read.
        if len(paths) > 1 and all(path.exists() for path in (*paths, paths[0])):
            names = " and ".join(str(path.relative_to(spool.work)) for path in paths)
            yield error(job_id, f"has {len(paths)} tickets: {names}", f"rm {paths[0]}")
        waits = paths[0].parent in {spool.queued, spool.held}
        if waits and is_job_id(job_id) and spool.record(job_id).exists() and paths[0].exists():
            yield error(
                job_id,
                f"has a record, and still a ticket in {paths[0].parent.name}/",
                f"rm {paths[0]}",
            )


def names(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether anything but tickets lies where only tickets belong."""
    yield from few(_strange_names(spool), spool.work)


def _strange_names(spool: Spool) -> Iterator[Finding]:
    for directory in _places(spool):
        if not directory.is_dir():
            yield warning(directory, "is no slot's directory", "move it away")
            continue
        for name in sorted(os.listdir(directory)):
            ticket = TicketName.parse(name)
            if ticket is None or not is_job_id(ticket.job_id):
                yield warning(directory / name, "is no ticket by its name", "move it away")


def contents(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether the tickets can be read."""
    yield from few(_unreadable(spool), spool.work)


def _unreadable(spool: Spool) -> Iterator[Finding]:
    for directory in _places(spool):
        for name in scan(directory)[:_TICKETS_READ]:
            path = directory / str(name)
            try:
                job_id = Ticket.decode(path.read_bytes()).job_id
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
                reason = f"{type(fault).__name__}: {fault}".splitlines()[0]
                yield warning(path, f"cannot be read: {reason}", "move it away, submit it anew")
                continue
            if job_id != name.job_id:
                yield warning(path, f"holds the ticket of {job_id}", "give it its name back")


def held(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Which jobs are on hold, and why."""
    yield from few((_held(spool, name) for name in scan(spool.held)), spool.held)


def _held(spool: Spool, name: TicketName) -> Finding:
    last = last_event(spool.events(name.job_id))
    reason = last.data.get("reason") if last else None
    return note(
        name.job_id,
        f"is on hold: {reason or 'no reason is known'}",
        f"genzo release {name.job_id}, or: genzo cancel {name.job_id}",
    )


def acceptances(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether an acceptance was begun and not ended."""
    now = time.time()
    old = [path for path in sorted(spool.pending.iterdir()) if _age(path, now) > PATIENCE_SECONDS]
    yield from few(
        (
            warning(
                path,
                "is an acceptance that a crash or an error left unfinished",
                "the intake of a running genzod or genzo-httpd completes it; its log says more",
            )
            for path in old
        ),
        spool.pending,
    )


def requests(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether a daemon was asked to stop a job and did not."""
    now = time.time()
    running = {name.job_id for slot in spool.active.iterdir() for name in scan(slot)}
    asked = (spool.cancel_request(job_id) for job_id in sorted(running))
    old = (path for path in asked if _age(path, now) > PATIENCE_SECONDS)
    yield from few(
        (
            warning(
                path.stem,
                f"was asked to stop {_age(path, now):.0f} s ago and has not",
                "its daemon may hang; restart it",
            )
            for path in old
        ),
        spool.active,
    )


def _age(path: Path, now: float) -> float:
    """How old a file is, in seconds; 0 if it is gone."""
    try:
        return now - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def sidecars(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """How many live files belong to no job that is known."""
    listed = {name.partition(".")[0] for name in os.listdir(spool.live)}
    now = time.time()
    orphaned = []
    # Behind the listing, so that a job accepted since has its ticket; and twice, since they move.
    ticketed = {
        name.job_id
        for directory in itertools.chain(_places(spool), _places(spool))
        for name in scan(directory)
    }
    for job_id in sorted(filter(is_job_id, listed - ticketed)):
        young = _age(spool.events(job_id), now) < PATIENCE_SECONDS and spool.events(job_id).exists()
        if not young and not spool.record(job_id).exists():
            orphaned.append(job_id)
    if orphaned:
        yield note(
            spool.live,
            f"holds files of {len(orphaned)} job(s) with neither ticket nor record, such as "
            f"{orphaned[0]}",
            "genzo clean removes them when they are a day old",
        )

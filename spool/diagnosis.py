"""`genzo doctor`: every check in turn, on a spool that may be broken in any way.

Nothing is changed, and nothing raised: a check that fails is a finding itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spool.checks import archive, dropbox, gpu, jobs, machine, slots, tree
from spool.checks.findings import Finding, error, note, ok, us
from spool.layout import Spool
from spool.settings import Settings

Check = Callable[[Spool, Settings], Iterable[Finding]]

CHECKS: dict[str, Check] = {
    "marker": tree.marker,
    "directories": tree.directories,
    "file system": tree.file_system,
    "room": machine.room,
    "file events": machine.events,
    "hard links": machine.links,
    "clock": machine.clock,
    "daemons": slots.daemons,
    "reports": slots.never_served,
    "waiting jobs": slots.waiting,
    "orphans": slots.orphans,
    "models": slots.models,
    "drop box": dropbox.drops,
    "refusals": dropbox.refusals,
    "acceptances": jobs.acceptances,
    "tickets": jobs.places,
    "names of tickets": jobs.names,
    "contents of tickets": jobs.contents,
    "held jobs": jobs.held,
    "cancellations": jobs.requests,
    "sidecars": jobs.sidecars,
    "records": archive.newest_records,
    "feed": archive.feed,
    "scratch": archive.scratch,
    "owners": archive.owners,
}


def diagnose(directory: Path, settings: Settings, *, gpus: bool = True) -> list[Finding]:
    """Everything that is found, in the order of the checks; one that finds nothing is ok."""
    spool = Spool(Path(os.path.realpath(directory)))
    findings = []
    if os.path.isdir(spool.root):
        if Path(os.path.abspath(directory)) != spool.root:
            findings.append(note(directory, f"leads to {spool.root}, on which genzo works"))
        for title, check in CHECKS.items():
            findings += _findings(title, check, spool, settings)
    else:
        what = "is not there, or is no directory, or may not be entered"
        remedy = f"mount its disk, or: genzo init {spool.root}"
        findings.append(error(spool.root, what, remedy))
    if gpus:
        findings += _findings("gpu", gpu.gpu, spool, settings)
    return findings


def _findings(title: str, check: Check, spool: Spool, settings: Settings) -> Iterator[Finding]:
    quiet = True
    try:
        for finding in check(spool, settings):
            quiet = False
            yield finding
    except PermissionError as fault:
        yield note(
            title,
            f"{us()} may not look at {fault.filename}",
            "run genzo doctor as the spool's owner, or as root",
        )
    except (FileNotFoundError, NotADirectoryError) as fault:
        yield note(title, f"not looked at: {fault.filename} is missing")
    except Exception as fault:  # whatever is broken, the other checks have their say
        yield error(title, f"could not be looked at: {type(fault).__name__}: {fault}")
    else:
        if quiet:
            yield ok(title, "in order")

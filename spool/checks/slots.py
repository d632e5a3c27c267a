"""The slots: whether each daemon lives, and whether anyone takes the jobs that wait."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spool.catalogue import (
    ALIVE_SECONDS,
    Catalogue,
    SlotReport,
    SlotState,
    age_seconds,
    read_reports,
)
from spool.checks.findings import Finding, error, few, note, ok, us, warning
from spool.layout import CANCEL_SLOT, Spool
from spool.settings import Settings
from spool.states import scan

START_SECONDS = 900.0
"""Loading a large model takes minutes, in which nothing is reported."""

_TICKETS_READ = 1000


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock file `path`; None if we may not know. Makes no file.

    The lock is taken shared for an instant, so a daemon that starts just then waits for that.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def daemons(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether each slot's lock, state and heartbeat agree."""
    for path in sorted(spool.slots.glob("*.json")):
        try:
            report = SlotReport.decode(path.read_bytes())
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
            yield warning(
                path,
                f"cannot be read: {type(fault).__name__}: {fault}",
                f"a daemon of this version replaces it: genzod --slot {path.stem}",
            )
            continue
        yield judge_slot(path, report, held=is_held(spool.lock(path.stem)))


def judge_slot(path: Path, report: SlotReport, *, held: bool | None) -> Finding:
    """What a slot's report means, given whether its lock is held."""
    age = age_seconds(report)
    start = f"genzod --slot {report.slot}"
    if held is None:
        return note(path, f"says {report.state}; its lock is not ours to look at ({us()})")
    if age is None:
        return warning(path, f"reported at {report.heartbeat!r}, which is no instant", start)
    if not held and report.state is not SlotState.STOPPED:
        return error(
            path,
            f"slot {report.slot} says {report.state} but no process holds its lock: the daemon "
            f"died; its last word is {age:.0f} s old",
            f"start it again: {start}",
        )
    if not held:
        return note(path, f"slot {report.slot} is stopped", start)
    limit = START_SECONDS if report.state is SlotState.STARTING else ALIVE_SECONDS
    if age > limit:
        return warning(
            path,
            f"slot {report.slot} says {report.state} for {age:.0f} s without another word: it "
            f"hangs (process {report.pid}), or one step takes that long",
            f"look into its log; then stop it and start it again: {start}",
        )
    return ok(path, f"slot {report.slot} is {report.state} on {report.device}")


def waiting(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether someone takes the jobs that wait."""
    queued = len(scan(spool.queued))
    states = [is_held(spool.lock(name)) for name in _slot_names(spool)]
    if queued and not any(states) and None not in states:
        jobs = "1 job waits" if queued == 1 else f"{queued} jobs wait"
        yield warning(spool.queued, f"{jobs} and no daemon runs", "start genzod")


def _slot_names(spool: Spool) -> list[str]:
    reported = {path.stem for path in spool.slots.glob("*.json")}
    claiming = {path.name for path in spool.active.iterdir()} - {CANCEL_SLOT}
    return sorted(reported | claiming)


def orphans(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether tickets lie with a slot that no process holds."""
    for directory in sorted(spool.active.iterdir()):
        tickets = scan(directory)
        if tickets and is_held(spool.lock(directory.name)) is False and scan(directory):
            yield warning(
                directory,
                f"holds {tickets[0].job_id} and no process holds its lock ({len(tickets)} in all)",
                "any genzod that starts or runs brings it back into the queue, or finishes it",
            )


def models(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether jobs wait for a model that no slot has."""
    known = Catalogue.read(spool).models
    if not known:
        return
    wanted: Counter[str] = Counter()
    for name in scan(spool.queued)[:_TICKETS_READ]:
        try:
            ticket = json.loads((spool.queued / str(name)).read_bytes())
            model = (ticket["job"] or ticket["request"]).get("model")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if isinstance(model, str) and model not in known:
            wanted[model] += 1
    yield from few(
        (
            warning(
                spool.queued,
                f"{count} queued job(s) want model {model!r}, which no slot has; there are "
                f"{', '.join(known)}",
                "configure it ([[model]]) and restart genzod, or cancel them: genzo cancel ID",
            )
            for model, count in wanted.most_common()
        ),
        spool.queued,
    )


def never_served(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether any daemon ever came here."""
    if not read_reports(spool):
        yield note(spool.slots, "no daemon has reported yet", "start genzod")

"""What a starting daemon, and every daemon at its scans, brings back to where it belongs.

A crash of a process leaves a ticket in the directory of its dead slot. A crash of the host may
do more: where a rename was not durable, btrfs shows the ticket under both its names. The later
state counts: done > active > held > queued, and of two counts of starts the higher. Each is
resolved only where no one else can move the ticket meanwhile: in a slot whose lock we hold, and
in held/ under the lock of cancellations. A double in queued/ alone needs nothing: whoever claims
the second finds the record of the first. (A rename from one name of a file to another of its names
does nothing and reports success, so the earlier names go first.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from spool import durable
from spool.claims import MAX_STARTS, Claim, Slot, cancelling
from spool.finishing import finish_as_cancelled, finish_cancelled, settle
from spool.layout import Spool
from spool.live import LiveWriter
from spool.records import read_record
from spool.room import is_full
from spool.states import Status, TicketName, scan


def recover(slot: Slot, *, starting: bool) -> list[str]:
    """Bring every orphaned ticket to where it belongs; one sentence for each.

    With a record: finished. With a request to cancel: cancelled. After MAX_STARTS starts: held,
    since it has killed its daemon that often. Otherwise: queued again, with its count of starts.
    """
    spool = slot.spool
    report = [_recover_one(claim) for claim in slot.orphans(starting=starting)]
    try:
        with cancelling(spool) as directory:
            cancelled = finish_cancelled(spool, directory)
            report += [f"{job_id}: cancelled, completed after a crash" for job_id in cancelled]
            if starting:
                report += _resolve_waiting(spool)
    except OSError as error:
        if not is_full(error):
            raise
        report.append("the disk is full: what has ended but for its last steps waits for room")
    return report


def finished_before(claim: Claim) -> bool:
    """Whether a claimed job has a record already; then its ticket is brought to its end.

    So it is after a crash, or a full disk, behind the record.
    """
    return _settle_if_recorded(claim.spool, claim.name, claim.path)


def _settle_if_recorded(spool: Spool, name: TicketName, ticket: Path) -> bool:
    record = read_record(spool, name.job_id)
    if record is not None:
        # Whoever published it may have died before its name was durable.
        durable.sync_directories(spool.record(name.job_id).parent)
        settle(spool, ticket, record)
    return record is not None


def _recover_one(claim: Claim) -> str:
    spool, job_id = claim.spool, claim.job_id
    try:
        if finished_before(claim):
            return f"{job_id}: completed after a crash"
        if spool.cancel_request(job_id).exists():
            finish_as_cancelled(claim)
            return f"{job_id}: cancelled, as was asked before its daemon died"
    except OSError as error:
        if not is_full(error):
            raise
        # On a full disk it can be renamed, but not settled: whoever claims it next does that.
    with cancelling(spool):
        if _is_active_elsewhere(spool, claim):
            durable.remove([claim.path])
            return f"{job_id}: stood in two slots after a crash, is left to the other"
        _remove_tickets(job_id, (claim.directory, spool.held, spool.queued), keep=claim.path)
    if claim.name.starts >= MAX_STARTS:
        reason = f"its daemon died {claim.name.starts} times after it was started"
        say(spool, claim.name, Status.HELD, reason=reason)
        claim.path.rename(spool.held / str(claim.name))
        return f"{job_id}: held, {reason}"
    claim.put_back(claim.name.starts)
    return f"{job_id}: queued again after {claim.name.starts} start(s)"


def say(spool: Spool, name: TicketName, status: Status, **data: object) -> None:
    """Append a line about a ticket that moves, if there is room for it."""
    try:
        with LiveWriter(spool, name.job_id, name.starts) as live:
            live.append(status, data)
    except OSError as error:
        if not is_full(error):
            raise


def _resolve_waiting(spool: Spool) -> list[str]:
    """Finish what waits but has a record; what is held and queued stays on hold alone."""
    report = []
    queued = {name.job_id for name in scan(spool.queued)}
    for directory in (spool.held, spool.queued):
        for name in scan(directory):
            path = directory / str(name)
            if _settle_if_recorded(spool, name, path):
                report.append(f"{name.job_id}: finished, was {directory.name} too after a crash")
            elif directory == spool.held and name.job_id in queued:
                _remove_tickets(name.job_id, (spool.held, spool.queued), keep=path)
                report.append(f"{name.job_id}: held, was queued too after a crash")
    return report


def _is_active_elsewhere(spool: Spool, claim: Claim) -> bool:
    others = (path for path in spool.active.iterdir() if path != claim.directory)
    return any(name.job_id == claim.job_id for path in others for name in scan(path))


def _remove_tickets(job_id: str, directories: Iterable[Path], *, keep: Path) -> None:
    for directory in directories:
        for name in scan(directory):
            path = directory / str(name)
            if name.job_id == job_id and path != keep:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

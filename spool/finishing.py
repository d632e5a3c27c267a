"""The end of a job, in an order that can be taken up again after any line.

    1. pictures and thumbnails        gallery.publish_picture, no-replace
    2. the record                     no-replace: the first one wins, whoever wrote it
    3. outgoing/<drop>/<job_id>/      for dropped jobs; result.json last
    4. the final line of the live sidecar
    5. the ticket is removed

A ticket whose record exists is at step 3 or later; `settle` does the rest and may be repeated.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath

from spool import durable
from spool.claims import MAX_STARTS, Claim, Slot, cancelling, read_claim
from spool.gallery import PictureName
from spool.ids import is_job_id
from spool.layout import CANCEL_SLOT, Spool
from spool.live import LiveWriter, finish_events
from spool.outcomes import Outcome, record_of
from spool.problems import SpoolError
from spool.records import Record, publish_record, read_record
from spool.states import Found, Status, find, scan


def finish(claim: Claim, record: Record) -> Record:
    """Finish a claimed job with `record`, or with the one it has already; the record in force."""
    winner = publish_record(claim.spool, record)
    settle(claim.spool, claim.path, winner)
    return winner


def settle(spool: Spool, ticket: Path, record: Record) -> None:
    """Do what follows the record of a job: outgoing, the final line, the ticket's end."""
    if record.drop_name is not None:
        _deliver(spool, record, record.drop_name)
    outcome: dict[str, object] = {"images": [image.filename for image in record.images]}
    if record.error is not None:
        outcome["error"] = record.error
    finish_events(spool, record.job_id, record.status, record.starts, **outcome)
    durable.remove([spool.cancel_request(record.job_id), ticket])


def recover(slot: Slot, *, starting: bool) -> list[str]:
    """Bring every orphaned ticket to where it belongs; one sentence for each.

    With a record: finished. After MAX_STARTS starts: held, since it has killed its daemon that
    often. Otherwise: queued again, with its count of starts.
    """
    report = [_recover_one(claim) for claim in slot.orphans(starting=starting)]
    with cancelling(slot.spool) as directory:
        cancelled = _finish_cancelled(slot.spool, directory)
    return report + [f"{job_id}: cancelled, completed after a crash" for job_id in cancelled]


def _recover_one(claim: Claim) -> str:
    spool, job_id = claim.spool, claim.job_id
    record = read_record(spool, job_id)
    if record is not None:
        settle(spool, claim.path, record)
        return f"{job_id}: {record.status}, completed after a crash"
    if claim.name.starts >= MAX_STARTS:
        reason = f"its daemon died {claim.name.starts} times after it was started"
        with LiveWriter(spool, job_id, claim.name.starts) as live:
            live.append(Status.HELD, {"reason": reason})
        claim.path.rename(spool.held / str(claim.name))
        return f"{job_id}: held, {reason}"
    claim.put_back(claim.name.starts)
    return f"{job_id}: queued again after {claim.name.starts} start(s)"


def cancel(spool: Spool, job_id: str) -> Status | None:
    """Cancel a job; its status after that, or None if there is no such job.

    A queued or held job is cancelled at once. A processing one is asked to stop (PROCESSING is
    returned) and does so at its next step; a finished one keeps its final status.
    """
    if not is_job_id(job_id):
        return None
    claimed = False
    for _ in range(2):
        found = find(spool, job_id)
        if found is None:
            record = read_record(spool, job_id)
            if record is not None:
                return record.status
        elif found.status is Status.PROCESSING and found.directory.name != CANCEL_SLOT:
            return _request_cancel(spool, job_id)
        elif _cancel_waiting(spool, found):
            return Status.CANCELLED
        else:
            claimed = True
    return _request_cancel(spool, job_id) if claimed else None


def release(spool: Spool, job_id: str) -> bool:
    """Put a held job back into the queue, its starts forgotten; False if it is not on hold."""
    found = find(spool, job_id)
    if found is None or found.status is not Status.HELD:
        return False
    if not durable.move(found.path, spool.queued / str(replace(found.name, starts=0))):
        return False
    durable.sync_directories(spool.queued, spool.held)
    with LiveWriter(spool, job_id, 0) as live:
        live.append(Status.QUEUED, {})
    return True


def _cancel_waiting(spool: Spool, found: Found) -> bool:
    """Claim the ticket for cancelling and finish it; False if a daemon was faster.

    Raises SpoolError if it is no ticket that can be read; then it is on hold.
    """
    with cancelling(spool) as directory:
        if not durable.move(found.path, directory / found.path.name):
            return False
        if found.name.job_id in _finish_cancelled(spool, directory):
            return True
    held = spool.held / str(found.name)
    raise SpoolError(f"{held} cannot be read and is not cancelled; remove it by hand")


def _finish_cancelled(spool: Spool, directory: Path) -> list[str]:
    """Finish the tickets in the slot of cancellations, ours and a dead canceller's; their ids."""
    finished = []
    for name in scan(directory):
        claim = read_claim(spool, directory, name)
        if claim is not None:
            finish(claim, record_of(claim.ticket, Outcome(Status.CANCELLED, name.starts)))
            finished.append(name.job_id)
    return finished


def _request_cancel(spool: Spool, job_id: str) -> Status:
    durable.replace(spool.cancel_request(job_id), b"", scratch=spool.tmp, durable=False)
    # The finisher removes the request; if it has just finished, no one else would.
    record = read_record(spool, job_id)
    if record is None:
        return Status.PROCESSING
    durable.remove([spool.cancel_request(job_id)])
    return record.status


def _deliver(spool: Spool, record: Record, drop_name: str) -> None:
    """Lay the result of a dropped job where an rsync fetches it; result.json says it is whole."""
    folder = spool.outgoing / outgoing_name(drop_name) / record.job_id
    if (folder / "result.json").exists():
        return
    durable.make_directory(folder, within=spool.outgoing, durable=True)
    # outgoing/ may be another file system, to which nothing in tmp/ can be linked.
    same_disk = folder.stat().st_dev == spool.tmp.stat().st_dev
    scratch = spool.tmp if same_disk else folder
    for image in record.images:
        name = PictureName.parse(image.filename)
        if name is not None:
            durable.link_or_copy(name.picture(spool), folder / image.filename, scratch=scratch)
    sums = "".join(f"{image.sha256}  {image.filename}\n" for image in record.images)
    if sums:
        with durable.scratch_file(scratch, sums.encode(), durable=True) as temporary:
            durable.link(temporary, folder / "SHA256SUMS")
    record_path = spool.record(record.job_id)
    durable.link_or_copy(record_path, folder / "result.json", scratch=scratch)
    durable.sync_directories(folder)


def outgoing_name(drop_name: str) -> PurePath:
    """The folder below outgoing/ of a dropped file: its path without `.json`."""
    path = PurePath(drop_name)
    return path.with_suffix("") if path.suffix.lower() == ".json" else path

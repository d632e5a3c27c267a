"""The end of a job, in an order that can be taken up again after any line.

    1. pictures and thumbnails        gallery.publish_picture, no-replace
    2. the record                     no-replace: the first one wins, whoever wrote it
    3. outgoing/<drop>/<job_id>/      for dropped jobs; result.json last
    4. the final line of the live sidecar
    5. the ticket is removed

A ticket whose record exists is at step 3 or later; `settle` does the rest and may be repeated.
"""

from __future__ import annotations

from pathlib import Path

from spool import durable
from spool.claims import Claim, read_claim
from spool.layout import Spool
from spool.live import finish_events
from spool.outcomes import Outcome, published, record_of
from spool.outgoing import deliver
from spool.records import Record, publish_record
from spool.states import Status, scan


def finish(claim: Claim, record: Record) -> Record:
    """Finish a claimed job with `record`, or with the one it has already; the record in force."""
    winner = publish_record(claim.spool, record)
    settle(claim.spool, claim.path, winner)
    return winner


def settle(spool: Spool, ticket: Path, record: Record) -> None:
    """Do what follows the record of a job: outgoing, the final line, the ticket's end."""
    if record.drop_name is not None:
        deliver(spool, record, record.drop_name)
    outcome: dict[str, object] = {"images": [image.filename for image in record.images]}
    if record.error is not None:
        outcome["error"] = record.error
    finish_events(spool, record.job_id, record.status, record.starts, **outcome)
    durable.remove([spool.cancel_request(record.job_id), ticket])


def finish_cancelled(spool: Spool, directory: Path) -> list[str]:
    """Finish the tickets in the slot of cancellations, ours and a dead canceller's; their ids.

    To be called with its lock held.
    """
    finished = []
    for name in scan(directory):
        claim = read_claim(spool, directory, name)
        if claim is not None:
            finish_as_cancelled(claim)
            finished.append(name.job_id)
    return finished


def finish_as_cancelled(claim: Claim) -> None:
    """Finish a claimed job as cancelled; its record names what an earlier start published."""
    images = published(claim.spool, claim.ticket)
    outcome = Outcome(Status.CANCELLED, claim.name.starts, images=images)
    finish(claim, record_of(claim.ticket, outcome))

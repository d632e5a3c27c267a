"""What holds of every spool at rest: each job is in one place, and whatever a record says is true.

At rest means that nobody works on it and whoever died was recovered from. What lies in tmp/ means
nothing and is not looked at.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

from spool import gallery, records
from spool.feed import FeedReader
from spool.gallery import PictureName
from spool.layout import Spool
from spool.live import read_events
from spool.outgoing import outgoing_name
from spool.records import Record, read_record
from spool.states import Status, TicketName, rank_of
from spool.tickets import Ticket


def check(spool: Spool, submitted: Iterable[str] = ()) -> None:
    """Fail the caller with every fault of `spool`; each of `submitted`, job ids, must be there."""
    found = list(faults(spool, submitted))
    assert not found, "\n".join(found)


def faults(spool: Spool, submitted: Iterable[str] = ()) -> Iterator[str]:
    """One sentence for each thing that is not as it must be."""
    tickets = Counter[str]()
    for name in _ticket_files(spool):
        parsed = TicketName.parse(name)
        if parsed is None:
            yield f"{name} lies among the tickets and is none"
        else:
            tickets[parsed.job_id] += 1
    yield from (f"{job_id} has {n} tickets" for job_id, n in tickets.items() if n > 1)
    yield from _faults_of_tickets(spool)
    finished = list(records.newest_first(spool))
    yield from (f"{job_id} has a ticket and a record" for job_id in {*tickets} & {*finished})
    lost = {*submitted} - {*tickets} - {*finished}
    yield from (f"{job_id} is lost: it has neither ticket nor record" for job_id in sorted(lost))
    for job_id in finished:
        yield from _faults_of_record(spool, job_id)
    yield from _faults_of_gallery(spool, {*tickets})
    yield from (f"the intent {path.name} was left" for path in spool.pending.iterdir())
    yield from _faults_of_feed(spool)


def _ticket_files(spool: Spool) -> Iterator[str]:
    for directory in (spool.queued, *spool.active.iterdir(), spool.held):
        yield from (path.name for path in directory.iterdir())


def _faults_of_tickets(spool: Spool) -> Iterator[str]:
    for path in spool.work.glob("**/*.json"):
        name = TicketName.parse(path.name)
        if name is None:
            continue
        try:
            ticket = Ticket.decode(path.read_bytes())
        except (ValueError, KeyError, TypeError) as error:
            yield f"the ticket {path} cannot be read: {error}"
            continue
        if (name.rank, name.job_id) != (rank_of(ticket.request.priority), ticket.job_id):
            yield f"{path} is named after another job than it holds, {ticket.job_id}"


def _faults_of_record(spool: Spool, job_id: str) -> Iterator[str]:
    record = read_record(spool, job_id)
    assert record is not None
    if record.job_id != job_id or not record.status.is_final:
        yield f"the record of {job_id} is of {record.job_id}, {record.status}"
    if record.status is Status.COMPLETED and len(record.images) != record.request.get("count", 1):
        yield f"{job_id} is completed with {len(record.images)} pictures"
    for image in record.images:
        name = PictureName.parse(image.filename)
        picture = name.picture(spool) if name else None
        if name is None or picture is None or not picture.exists():
            yield f"{image.filename} is in a record and not in the gallery"
        elif hashlib.sha256(picture.read_bytes()).hexdigest() != image.sha256:
            yield f"{image.filename} has other bytes than its record says"
        elif not name.thumbnail(spool).exists():
            yield f"{image.filename} has no thumbnail"
    if record.drop_name is not None:
        yield from _faults_of_delivery(spool, record, record.drop_name)
    lines = read_events(spool.events(job_id))
    ends = [line.data["status"] for line in lines if line.is_final]
    if ends != [record.status.value] or not lines[-1].is_final:
        last = lines[-1].data if lines else None
        yield f"{job_id} is {record.status}, and its sidecar ends with {ends} and {last}"


def _faults_of_delivery(spool: Spool, record: Record, drop_name: str) -> Iterator[str]:
    folder = spool.outgoing / outgoing_name(drop_name) / record.job_id
    result = folder / "result.json"
    if not result.exists() or Record.decode(result.read_bytes()) != record:
        yield f"outgoing/ has no result of {record.job_id}, or another one"
    for image in record.images:
        picture = folder / image.filename
        if not picture.exists() or hashlib.sha256(picture.read_bytes()).hexdigest() != image.sha256:
            yield f"outgoing/ lacks {image.filename}, or has other bytes"


def _faults_of_gallery(spool: Spool, waiting: set[str]) -> Iterator[str]:
    """A picture belongs to the record that names it, or to a job that has yet to end."""
    for name in gallery.newest_first(spool):
        if name.job_id in waiting:
            continue
        record = read_record(spool, name.job_id)
        if record is None or str(name) not in {image.filename for image in record.images}:
            yield f"{name} is in the gallery and in no record"


def _faults_of_feed(spool: Spool) -> Iterator[str]:
    announced = Counter(picture["filename"] for picture in FeedReader(spool).read())
    yield from (f"the feed tells of {name} {n} times" for name, n in announced.items() if n > 1)

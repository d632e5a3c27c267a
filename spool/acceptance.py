"""Acceptance: how a request becomes a job exactly once, whatever line the process dies at.

A keyed request (a dropped file, an Idempotency-Key) is known by its key for good. Its ticket is
one file with several names, given in this order:

    1. seen/pending/<job_id>.json     the intent                               ┐ durable
    2. seen/<xx>/<key>                exclusive: the key is taken by this job  ┘ together
    3. work/queued/<ticket name>      the job, renamed from 1                    durable
    4. then the caller removes the dropped file

A crash before 2 leaves an intent that no one was told of: dropped, or completed if its key is
still free, which is the same for who asked. A crash after 2 leaves an intent whose key is its
own: `recover` publishes the ticket. An error that the process survives (a full disk) leaves the
same. Nothing else ever needs repair. Requests without a key take step 3 alone.

Step 3 is a rename, so that an intent which is there was never queued: to search for its ticket
proves nothing, since tickets move, and one that was missed would be queued twice. The search is
for power cuts, after which btrfs may show both names.

A refused file takes its key too (`remember_rejection`), so that an rsync which sends it again
is acknowledged, not refused again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from spool import durable
from spool.catalogue import Catalogue
from spool.door import resolve
from spool.ids import created_ms, is_job_id, shard
from spool.jobs import JobRequest
from spool.layout import Spool
from spool.locks import lock
from spool.problems import Problem
from spool.records import Record
from spool.states import job_ids_with_tickets
from spool.tickets import FORMAT, Ticket

log = logging.getLogger(__name__)

# Many tools that read pictures take seeds of 32 bits only.
_DRAWN_SEEDS = 2**32 - 1000
# How far ahead of our clock a sender's may be. Later ids are never earlier than those we have, so
# one of the year 9999 would leave no room for any other.
_AHEAD_MS = 60_000


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request, and through which door."""

    origin: str
    owner_uid: int
    drop_name: str | None = None
    key: str | None = None
    job_id: str | None = None
    """The id the sender wishes for; taken if it is well-formed and free. No ticket may have it."""


def draw_ticket(
    spool: Spool,
    request: JobRequest,
    catalogue: Catalogue,
    sender: Sender,
    *,
    retry_of: Record | None = None,
) -> Ticket:
    """Freeze `request` into a ticket with an id of its own, drawing the seed if none is given.

    A retry has the seed of the job before it. Raises Problem (422) if no model can render it. A
    crash leaves an empty progress file.
    """
    if request.seed is not None:
        seed = request.seed
    elif retry_of is not None:
        seed = retry_of.seed
    else:
        seed = secrets.randbelow(_DRAWN_SEEDS)
    job = resolve(request, seed, catalogue)
    return Ticket(
        job_id=_reserve(spool, sender.job_id),
        request=request,
        seed=seed,
        job=job,
        origin=sender.origin,
        owner_uid=sender.owner_uid,
        digest=digest(request),
        drop_name=sender.drop_name,
        key=sender.key,
        retry_of=retry_of.job_id if retry_of else None,
    )


def digest(request: JobRequest) -> str:
    """A digest of what was asked, equal for equal requests however they were spelled."""
    # Without what is at its default, so that a field which genzo learns changes no old digest.
    canonical = json.dumps(request.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def admit(spool: Spool, ticket: Ticket) -> None:
    """Queue a ticket that has no key. Durable on return; after a crash it is queued or not."""
    with _unreserved_on_error(spool, [ticket]):
        durable.publish(spool.queued / str(ticket.name), ticket.encode(), scratch=spool.tmp)


def admit_keyed(spool: Spool, ticket: Ticket) -> bool:
    """Queue `ticket` under its key, or return False if the key is known. Durable on return."""
    return admit_all(spool, [ticket])[0]


def admit_all(spool: Spool, tickets: Sequence[Ticket]) -> list[bool]:
    """Queue each of `tickets` under its key; for each whether its key was new.

    Durable on return. Many cost little more than one, since they share their syncs. Raises
    ValueError if one has no key, and OSError with none of those queued that were not yet.
    """
    intents = [spool.pending / f"{ticket.job_id}.json" for ticket in tickets]
    keys = [_key_path_of(spool, ticket) for ticket in tickets]
    with _admissions(spool):
        with _unreserved_on_error(spool, tickets):
            for folder in sorted({key.parent for key in keys}):
                durable.make_directory(folder, within=spool.seen, mode=0o700, durable=True)
            contents = [ticket.encode() for ticket in tickets]
            with durable.scratch_files(spool.tmp, contents) as written:
                for file, intent in zip(written, intents, strict=True):
                    file.rename(intent)
        won = [durable.link(intent, key) for intent, key in zip(intents, keys, strict=True)]
        durable.sync_directories(spool.pending, *(key.parent for key in keys))
        ours = [
            pair for pair, new in zip(zip(intents, tickets, strict=True), won, strict=True) if new
        ]
        _publish(spool, ours)
        for intent, ticket, new in zip(intents, tickets, won, strict=True):
            if not new:
                durable.remove([intent, spool.events(ticket.job_id)])
    return won


def recover_admissions(spool: Spool) -> list[str]:
    """Complete or drop the intents that crashes and errors left; the job ids that were queued.

    An intent that cannot be read is of another genzo, and left to that.
    """
    queued = []
    with _admissions(spool):
        # Whoever queued a job may have died before that was durable; its drop, known by now,
        # goes as soon as someone looks at it.
        durable.sync_directories(spool.queued)
        intents = sorted(spool.pending.glob("*.json"))
        living = job_ids_with_tickets(spool) | job_ids_with_tickets(spool) if intents else set()
        for intent in intents:
            try:
                ticket = Ticket.decode(intent.read_bytes())
            except (ValueError, KeyError, TypeError) as error:
                log.error("%s cannot be read and is passed over: %s", intent, error)
                continue
            key = key_path(spool, ticket.key or "")
            durable.make_directory(key.parent, within=spool.seen, mode=0o700, durable=True)
            ours = durable.link(intent, key) or key.samefile(intent)
            durable.sync_directories(spool.pending, key.parent)
            if not ours:
                durable.remove([intent, spool.events(ticket.job_id)])
            elif ticket.job_id in living or spool.record(ticket.job_id).exists():
                intent.unlink()
            else:
                _publish(spool, [(intent, ticket)])
                queued.append(ticket.job_id)
    return queued


def _publish(spool: Spool, admitted: Sequence[tuple[Path, Ticket]]) -> None:
    for intent, ticket in admitted:
        intent.rename(spool.queued / str(ticket.name))
    durable.sync_directories(spool.queued, spool.pending)


def _admissions(spool: Spool) -> FileLock:
    # Who holds it knows that no one is at work on any intent it sees.
    return lock(spool, "admissions")


def key_of(*parts: object) -> str:
    """The key of a request that is known by `parts`: a SHA-256 in hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _key_path_of(spool: Spool, ticket: Ticket) -> Path:
    if ticket.key is None:
        raise ValueError(f"{ticket.job_id}: the ticket has no key")
    return key_path(spool, ticket.key)


def key_path(spool: Spool, key: str) -> Path:
    """Where `key`, a digest in hexadecimal, is remembered."""
    return spool.seen / key[:2] / key


def is_known(spool: Spool, key: str) -> bool:
    """Whether `key` was accepted or refused before; notes the sighting, from which it ages."""
    try:
        os.utime(key_path(spool, key))
    except FileNotFoundError:
        return False
    return True


def remember_rejection(spool: Spool, key: str, problem: Problem) -> None:
    """Make `key` known as refused. Durable on return."""
    _remember(spool, key, {"rejection": problem.as_json()})


def remember_order(spool: Spool, key: str, name: str) -> None:
    """Make `key` known as that of the order `name`, which was obeyed. Durable on return."""
    _remember(spool, key, {"order": name})


def _remember(spool: Spool, key: str, document: dict[str, Any]) -> None:
    path = key_path(spool, key)
    durable.make_directory(path.parent, within=spool.seen, mode=0o700, durable=True)
    text = json.dumps({"format": FORMAT, **document}).encode() + b"\n"
    durable.publish(path, text, scratch=spool.tmp)


def _reserve(spool: Spool, wish: str | None) -> str:
    """A job id that no one else has, made so by creating its progress file exclusively."""
    if (
        wish is not None
        and is_job_id(wish)
        and created_ms(wish) <= time.time_ns() // 1_000_000 + _AHEAD_MS
        and not spool.record(wish).exists()
        and not _has_pictures(spool, wish)
        and _take(spool, wish)
    ):
        return wish
    while True:
        job_id = spool.clock.draw()
        if _take(spool, job_id):
            return job_id


def _has_pictures(spool: Spool, job_id: str) -> bool:
    # They may be kept longer than the record; a new job of that id would take them for its own.
    return any((spool.gallery / shard(job_id)).glob(f"{job_id}-*"))


@contextmanager
def _unreserved_on_error(spool: Spool, tickets: Sequence[Ticket]) -> Iterator[None]:
    # On a full disk the same request is tried again and again, each time with a new id.
    try:
        yield
    except OSError:
        durable.remove(spool.events(ticket.job_id) for ticket in tickets)
        raise


def _take(spool: Spool, job_id: str) -> bool:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(spool.events(job_id), flags, durable.FILE_MODE)
    except FileExistsError:
        return False
    os.fchmod(descriptor, durable.FILE_MODE)
    os.close(descriptor)
    return True

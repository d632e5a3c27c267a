"""How daemons share one queue: a slot's lock, held for life, and renames.

A daemon holds `FileLock(locks/<slot>.lock)` for as long as it lives. A claim is then
`rename(queued/T, active/<slot>/T)`: of two claimers one finds the file gone. A ticket in
active/<slot>/ whose slot's lock can be acquired is an orphan; no pid, time or clock is asked.
(Renaming first and locking after runs jobs twice; a lock file that is unlinked admits two
holders.) Nothing may fork after the lock is taken, since a child would inherit it.

Starts are counted in the ticket's name. A claim keeps the count, `start` adds one before the GPU
works, `put_back` gives the ticket back under the count it was claimed with. These renames are
not synced: one that a power cut undoes leaves the job where it was before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from spool import durable
from spool.layout import CANCEL_SLOT, Spool, check_slot_name
from spool.locks import lock
from spool.problems import SlotBusy
from spool.states import TicketName, scan
from spool.tickets import Ticket

log = logging.getLogger(__name__)

MAX_STARTS = 2
"""A job whose daemon died this often after its start is held, not run again."""

TAKE_OVER_SECONDS = 30.0
"""How long a starting daemon waits for its lock: a peer may hold it for a moment, to recover."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A ticket that was read, and the directory it lies in."""

    spool: Spool
    directory: Path
    name: TicketName
    ticket: Ticket

    @property
    def path(self) -> Path:
        return self.directory / str(self.name)

    @property
    def job_id(self) -> str:
        return self.name.job_id

    def start(self) -> Claim:
        """Count a start; to be called before the GPU works on the job."""
        started = replace(self, name=self.name.started())
        self.path.rename(started.path)
        return started

    def put_back(self, starts: int) -> None:
        """Return the ticket to the queue, with the count of starts it shall have there."""
        self.path.rename(self.spool.queued / str(replace(self.name, starts=starts)))

    def uncount(self) -> Claim:
        """Take the start back: the GPU is done with the job, and a death is no longer its fault."""
        rendered = replace(self, name=replace(self.name, starts=self.name.starts - 1))
        self.path.rename(rendered.path)
        return rendered

    def sync(self) -> None:
        """Make the ticket's latest rename durable; it need not be before the GPU works."""
        durable.sync_directories(self.directory, self.spool.queued)


class Slot:
    """A slot that this process holds, and the only way to claim tickets."""

    def __init__(self, spool: Spool, name: str, lock: FileLock) -> None:
        self.spool = spool
        self.name = name
        self.directory = spool.slot_of(name)
        self._lock = lock

    @classmethod
    def acquire(cls, spool: Spool, name: str, timeout_seconds: float = TAKE_OVER_SECONDS) -> Slot:
        """Take the slot `name` for the life of this process.

        Raises SlotBusy if another process holds it, ValueError if the name cannot be one. The
        lock ends with the process, however it ends.
        """
        check_slot_name(name)
        held = lock(spool, name)
        try:
            held.acquire(timeout=timeout_seconds)
        except Timeout:
            raise SlotBusy(
                f"slot {name!r} is held by another process (lock {held.lock_file}); "
                "stop that daemon, or give this one another name with --slot"
            ) from None
        durable.make_directory(spool.slot_of(name), within=spool.active, durable=True)
        return cls(spool, name, held)

    def release(self) -> None:
        self._lock.release()

    def claim(
        self, name: TicketName, serves: Callable[[Ticket], bool] | None = None
    ) -> Claim | None:
        """Claim the queued ticket `name`, if this slot `serves` it.

        None if it does not, or if another claimer, or a canceller, was faster.
        """
        queued = read_claim(self.spool, self.spool.queued, name)
        if queued is None or not (serves is None or serves(queued.ticket)):
            return None
        if not durable.move(queued.path, self.directory / str(name)):
            return None
        return replace(queued, directory=self.directory)

    def orphans(self, *, starting: bool) -> Iterator[Claim]:
        """The tickets of dead daemons: in every free slot's directory and, if we are `starting`
        and have claimed nothing ourselves, in our own. Those being cancelled are not among them.

        While one of another slot is handed out, that slot's lock is held.
        """
        if starting:
            yield from _claims_in(self.spool, self.directory)
        for directory in sorted(self.spool.active.iterdir()):
            if directory.name not in {self.name, CANCEL_SLOT} and scan(directory):
                with _if_free(self.spool, directory.name) as free:
                    if free:
                        yield from _claims_in(self.spool, directory)


def read_claim(spool: Spool, directory: Path, name: TicketName) -> Claim | None:
    """The ticket `name` in `directory`; None if it is gone. One that is no ticket goes on hold."""
    path = directory / str(name)
    try:
        return Claim(spool, directory, name, Ticket.decode(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        log.error("ticket %s cannot be read and is held: %s", path, error)
        durable.move(path, spool.held / str(name))
        return None


def _claims_in(spool: Spool, directory: Path) -> Iterator[Claim]:
    # Of two names of one job, which a crash of the host may leave, the one with more starts counts.
    for name in {name.job_id: name for name in scan(directory)}.values():
        claim = read_claim(spool, directory, name)
        if claim is not None:
            yield claim


@contextmanager
def _if_free(spool: Spool, slot: str) -> Iterator[bool]:
    held = lock(spool, slot)
    try:
        held.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        held.release()


@contextmanager
def cancelling(spool: Spool) -> Iterator[Path]:
    """Hold the slot of cancellations, through which queued and held jobs are cancelled."""
    with lock(spool, CANCEL_SLOT):
        yield spool.slot_of(CANCEL_SLOT)

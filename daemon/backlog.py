"""The queue as one slot sees it: what it may claim next, and when to look again."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from spool.claims import Claim, Slot
from spool.presence import Presence
from spool.recovery import finished_before, recover
from spool.room import NoRoom, is_full, require_room
from spool.settings import DiskSettings
from spool.states import TicketName, scan
from spool.tickets import Ticket

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 20.0


class Backlog:
    """Claims tickets in the queue's order, those that this slot `serves` and that are due.

    Every RECONCILE_SECONDS, events or not, it looks at the queue and recovers what dead daemons
    left. While the disk has less than its floor it claims nothing. Belongs to the GPU's thread.
    """

    def __init__(self, slot: Slot, floor: DiskSettings, serves: Callable[[Ticket], bool]) -> None:
        self._slot = slot
        self._spool = slot.spool
        self._presence = Presence(self._spool, self._spool.work, self._spool.queued)
        self._floor = floor
        self._serves = serves
        self._is_stale = True
        self._queue: deque[TicketName] = deque()
        self._due: dict[str, float] = {}
        """When the jobs that wait for an instant may start, in seconds since 1970."""
        self._reconciled = time.monotonic()
        self._full_until = float("-inf")
        self.is_full = False
        """Whether nothing is claimed for want of room on the disk."""

    def look_again(self) -> None:
        """The queue has changed. Any thread may call it."""
        self._is_stale = True

    def pause(self) -> None:
        """The disk was full, though perhaps above the floor (a quota). Any thread may call it."""
        self._full_until = time.monotonic() + RECONCILE_SECONDS

    def check(self) -> None:
        """Raise SpoolGone if the spool is no longer the one that was opened."""
        self._presence.check()

    @property
    def seconds_until_due(self) -> float:
        """How long until the first of the jobs that wait for an instant may start."""
        return max(0.0, min(self._due.values(), default=float("inf")) - time.time())

    def claim_next(self) -> Claim | None:
        """The next ticket, claimed; None if there is none, or no room. Raises SpoolGone."""
        now = time.monotonic()
        reconcile = now - self._reconciled > RECONCILE_SECONDS
        if reconcile:
            self._reconciled = now
            self.check()
        if not self._has_room(now):
            return None
        if reconcile:
            for sentence in recover(self._slot, starting=False):
                log.info("%s", sentence)
        if self._is_stale or reconcile or self.seconds_until_due == 0:
            self._read()
        while self._queue:
            name = self._queue.popleft()
            if self._due.get(name.job_id, 0.0) > time.time():
                continue
            claim = self._slot.claim(name, self._may_start)
            if claim is not None and not self._finished(claim):
                return claim
            if self._full_until > now:
                break
        return None

    def _finished(self, claim: Claim) -> bool:
        """Whether the job needs no run: it has a record, for what follows which there may be no
        room yet; then it goes back to the queue."""
        try:
            return finished_before(claim)
        except OSError as error:
            if not is_full(error):
                raise
            self.pause()
            claim.put_back(claim.name.starts)
            return True

    def _read(self) -> None:
        self._is_stale = False
        self._queue = deque(scan(self._spool.queued))
        waiting = {name.job_id for name in self._queue}
        now = time.time()
        self._due = {
            job_id: due for job_id, due in self._due.items() if due > now and job_id in waiting
        }

    def _may_start(self, ticket: Ticket) -> bool:
        not_before = ticket.request.not_before
        if not_before is not None and not_before.timestamp() > time.time():
            self._due[ticket.job_id] = not_before.timestamp()
            return False
        return self._serves(ticket)

    def _has_room(self, now: float) -> bool:
        """Whether there is room on the disk to start a job; says so when that changes."""
        reason = "the disk was full a moment ago" if now < self._full_until else None
        try:
            require_room(self._spool, self._floor)
        except NoRoom as problem:
            reason = str(problem)
        was_full, self.is_full = self.is_full, reason is not None
        if reason and not was_full:
            log.error("no job is started: %s", reason)
        elif was_full and not reason:
            self._is_stale = True
            log.info("there is room again: jobs are started")
        return reason is None

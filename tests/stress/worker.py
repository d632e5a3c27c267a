"""A daemon that does everything but draw, with the spool's own modules and the daemon's order.

As in the daemon, the pictures of one job are published while the next one is being rendered, so
that a kill finds two tickets in one slot.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from spool import ids
from spool.claims import Claim, Slot
from spool.feed import announce
from spool.finishing import finish
from spool.gallery import PictureName, publish_picture, published_name
from spool.live import LiveWriter
from spool.outcomes import Outcome, published, record_of
from spool.picture_files import PictureFormat
from spool.records import PictureRecord
from spool.recovery import recover
from spool.states import Status, scan
from tests.spool.samples import PNG
from tests.stress.board import Board, Phase
from tests.stress.ledger import Fact, Ledger

_STEPS = 3
_PUT_BACK_SHARE = 0.02
_DEADLY_SHARE = 0.15
"""How likely a step of each 16th job is to kill its daemon, so that some come on hold."""


@dataclass
class Run:
    """One start of a job, and the pictures that it has so far."""

    claim: Claim
    number: int
    claimed_starts: int
    images: list[PictureRecord] = field(default_factory=list)
    started_at: str | None = None


class Worker:
    """Serves a slot, whose number is also its cell of the board."""

    def __init__(
        self, slot: Slot, cell: int, board: Board, ledger: Ledger, chance: random.Random
    ) -> None:
        self._slot = slot
        self._spool = slot.spool
        self._cell = cell
        self._board = board
        self._ledger = ledger
        self._chance = chance
        self._backlog: deque[Callable[[], None]] = deque()
        self._behind = 0
        self._reconcile_due = time.monotonic()

    def live(self) -> None:
        """Recover, then work until killed."""
        self._says(Phase.RECOVERING)
        recover(self._slot, starting=True)
        while True:
            self._reconcile()
            claim = self._next_claim()
            if claim is None:
                self._publish_backlog()
                time.sleep(0.002)
            else:
                self._work_on(claim)

    def _says(self, phase: Phase) -> None:
        self._board.says(self._cell, phase)

    def _reconcile(self) -> None:
        if time.monotonic() > self._reconcile_due:
            self._says(Phase.RECOVERING)
            recover(self._slot, starting=False)
            self._reconcile_due = time.monotonic() + self._chance.uniform(0.01, 0.1)

    def _next_claim(self) -> Claim | None:
        self._says(Phase.LOOKING)
        for name in scan(self._spool.queued)[:4]:
            self._says(Phase.CLAIMING)
            claim = self._slot.claim(name)
            if claim is not None:
                return claim
        return None

    def _work_on(self, claim: Claim) -> None:
        run = Run(claim, claim.ticket.seed, claim.name.starts)
        if self._is_cancelled(run):
            end = Status.CANCELLED
        else:
            self._start(run)
            end = self._draw(run)
        self._publish_backlog()
        if end is Status.QUEUED:
            self._put_back(run)
            return
        if end is Status.COMPLETED:
            self._says(Phase.UNCOUNTING)
            run.claim = run.claim.uncount()
        self._runs(0, behind=run.number)
        self._backlog.append(partial(self._finish, run, end))

    def _is_cancelled(self, run: Run) -> bool:
        return self._spool.cancel_request(run.claim.job_id).exists()

    def _start(self, run: Run) -> None:
        self._says(Phase.STARTING)
        run.claim = run.claim.start()
        run.started_at = ids.now()
        self._ledger.note(Fact.STARTED, run.claim.job_id, run.claim.name.starts)
        for other in self._runs(run.number, behind=self._behind):
            self._ledger.note(Fact.OVERLAP, run.claim.job_id, other)

    def _runs(self, at: int, *, behind: int) -> list[int]:
        self._behind = behind
        return self._board.runs(self._cell, at, behind)

    def _draw(self, run: Run) -> Status:
        """Render what no earlier start has published; how that ended."""
        claim = run.claim
        count = claim.ticket.request.count
        with LiveWriter(self._spool, claim.job_id, claim.name.starts) as live:
            live.progress(0, _STEPS * count)
            for index in range(count):
                if published_name(self._spool, claim.job_id, index) is not None:
                    self._backlog.append(partial(self._adopt, run, index))
                    continue
                for step in range(_STEPS):
                    self._render(run)
                    live.progress(index * _STEPS + step + 1, _STEPS * count)
                    if self._is_cancelled(run):
                        return Status.CANCELLED
                if self._chance.random() < _PUT_BACK_SHARE:
                    return Status.QUEUED
                self._backlog.append(partial(self._publish, run, index))
        return Status.COMPLETED

    def _render(self, run: Run) -> None:
        self._says(Phase.RENDERING)
        time.sleep(self._chance.uniform(0, 0.001))
        if run.number % 16 == 3 and self._chance.random() < _DEADLY_SHARE:
            os.kill(os.getpid(), signal.SIGKILL)
        self._publish_backlog()

    def _publish_backlog(self) -> None:
        while self._backlog:
            self._backlog.popleft()()

    def _publish(self, run: Run, index: int) -> None:
        self._says(Phase.PUBLISHING)
        job_id = run.claim.job_id
        png = PNG + f" {job_id} {index} {os.getpid()} {run.claim.name.starts}".encode()
        # As if the configured format changed between two starts.
        name = PictureName(job_id, index, self._chance.choice(list(PictureFormat)))
        created = self._create(name, png)
        self._ledger.note(Fact.PUBLISHED if created else Fact.CLASH, job_id, index)
        self._enter(run, name, png)

    def _create(self, name: PictureName, png: bytes) -> bool:
        return publish_picture(self._spool, name, png, b"thumbnail")

    def _adopt(self, run: Run, index: int) -> None:
        name = published_name(self._spool, run.claim.job_id, index)
        assert name is not None
        self._enter(run, name, name.picture(self._spool).read_bytes())

    def _enter(self, run: Run, name: PictureName, png: bytes) -> None:
        digest = hashlib.sha256(png).hexdigest()
        seed = run.claim.ticket.seed + name.index
        run.images.append(PictureRecord(str(name), name.index, seed, 64, 64, len(png), digest))
        announce(self._spool, str(name), {"job_id": run.claim.job_id})

    def _put_back(self, run: Run) -> None:
        self._says(Phase.PUTTING_BACK)
        with LiveWriter(self._spool, run.claim.job_id, run.claimed_starts) as live:
            live.append(Status.QUEUED, {})
        self._ledger.note(Fact.PUT_BACK, run.claim.job_id)
        # From the rename on the job is anyone's.
        self._runs(0, behind=self._behind)
        run.claim.put_back(run.claimed_starts)
        run.claim.sync()

    def _finish(self, run: Run, status: Status) -> None:
        self._says(Phase.FINISHING)
        claim = run.claim
        if status is not Status.COMPLETED:
            run.images = list(published(self._spool, claim.ticket))
        starts = run.claimed_starts + (run.started_at is not None)
        outcome = Outcome(status, starts, self._slot.name, run.started_at, tuple(run.images))
        record = record_of(claim.ticket, outcome)
        if finish(claim, record) is record:
            self._ledger.note(Fact.RECORDED, claim.job_id, status)
        self._runs(0, behind=0)

"""The loop of a slot: claim, render, hand over to be published, and again."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch

from daemon.errors import DaemonError
from daemon.families import Model
from daemon.heartbeat import HEARTBEAT_SECONDS, Heartbeat
from daemon.models import Models
from daemon.progress import Cancelled, PreviewClock, StepReporter, Stopped, checkpoint
from daemon.publishing import Publication, PublishingThread
from spool.catalogue import Catalogue, SlotState
from spool.claims import Claim, Slot
from spool.door import resolve
from spool.jobs import ResolvedJob
from spool.live import LiveWriter
from spool.problems import Problem
from spool.recovery import recover
from spool.states import Status, TicketName, scan
from spool.tickets import Ticket
from spool.watch import Watch, arrived_at

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 20.0


class Loop:
    """Renders the queue's jobs in one slot until `stop()`, which any thread may call.

    The caller's thread is the GPU's: it claims, denoises and decodes. After a stop the job at
    hand is back in the queue, uncounted, and every finished picture is published.
    """

    def __init__(
        self, slot: Slot, models: Models, heartbeat: Heartbeat, previews: PreviewClock
    ) -> None:
        self._slot = slot
        self._spool = slot.spool
        self._models = models
        self._heartbeat = heartbeat
        self._previews = previews
        self._publisher = PublishingThread()
        self._wake = threading.Event()
        self._stopping = False
        self._stale = True
        self._queue: deque[TicketName] = deque()
        self._reconciled = time.monotonic()

    def stop(self) -> None:
        """Finish the step at hand and end. Safe in a signal handler."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Look at the queue again."""
        self._stale = True
        self._wake.set()

    def run(self) -> None:
        """Work until stopped. Raises what made publishing fail, and the error of a lost GPU."""
        self._publisher.start()
        try:
            with Watch(self._spool.work, self._note, on_scan=self.wake):
                while not self._stopping and self._publisher.failure is None:
                    claim = self._next_claim()
                    if claim is None:
                        self._rest()
                    else:
                        self._work_on(claim)
        finally:
            self._publisher.close()
        if self._publisher.failure is not None:
            raise self._publisher.failure

    def _note(self, event: FileSystemEvent) -> None:
        # Tickets arrive in queued/; the sidecars that we write ourselves are no news.
        if arrived_at(event).parent == self._spool.queued:
            self.wake()

    def _next_claim(self) -> Claim | None:
        now = time.monotonic()
        reconcile = now - self._reconciled > RECONCILE_SECONDS
        if reconcile:
            self._reconciled = now
            for sentence in recover(self._slot, starting=False):
                log.info("%s", sentence)
        if self._stale or reconcile:
            self._stale = False
            self._queue = deque(scan(self._spool.queued))
        while self._queue:
            claim = self._slot.claim(self._queue.popleft(), self._serves)
            if claim is not None:
                return claim
        return None

    def _serves(self, ticket: Ticket) -> bool:
        """Whether a ticket is for this slot; one whose model no slot has fails at whoever comes."""
        if ticket.job is None or ticket.job.model in self._models:
            return True
        return ticket.job.model not in Catalogue.read(self._spool).models

    def _rest(self) -> None:
        self._heartbeat.say(SlotState.IDLE)
        if self._wake.wait(HEARTBEAT_SECONDS):
            self._wake.clear()

    def _work_on(self, claim: Claim) -> None:
        """Take one job to its end, whatever that is; only the error of a lost GPU gets out."""
        publication = Publication(claim, self._slot.name)
        check = checkpoint(self._spool.cancel_request(claim.job_id), lambda: self._stopping)
        try:
            check()
            job = self._resolve(claim.ticket)
            model = self._models.load(job.model)
            publication.start(job)
            self._publisher.submit(publication.claim.sync)
            self._draw(publication, job, model, check)
            publication.rendered()
        except Stopped:
            self._put_back(publication, starts=claim.name.starts)
            return
        except Cancelled:
            end = partial(publication.conclude, Status.CANCELLED)
        except torch.AcceleratorError:
            # Sticky: every later call would fail too. The ticket stays; a restart recovers it.
            log.critical("%s: the GPU is lost", claim.job_id)
            raise
        except Exception as error:
            end = partial(publication.conclude, Status.FAILED, error=_problem_of(error))
        else:
            end = partial(publication.conclude, Status.COMPLETED, render=model.describe(job))
        self._publisher.submit(end)

    def _resolve(self, ticket: Ticket) -> ResolvedJob:
        """What to render: as accepted, or now if no model was known then. Raises Problem."""
        job = ticket.job or resolve(ticket.request, ticket.seed, self._models.catalogue)
        if job is None or job.model not in self._models:
            wanted = job.model if job else "any"
            raise Problem(
                "No such model",
                f"model: no slot has {wanted!r} any more; add it to genzo.toml and send the job "
                "again",
            )
        return job

    def _draw(
        self, publication: Publication, job: ResolvedJob, model: Model, check: Callable[[], None]
    ) -> None:
        """Render every picture of the job that an earlier start has not published."""

        def at_step() -> None:
            check()
            self._heartbeat.at_step(publication.claim.job_id)

        claim = publication.claim
        with LiveWriter(self._spool, claim.job_id, claim.name.starts) as live:
            steps = model.total_steps(job)
            reporter = StepReporter(live, steps * job.count, self._previews, at_step)
            reporter.begin()
            for index in range(job.count):
                if publication.is_published(index):
                    self._publisher.submit(partial(publication.adopt, index))
                    reporter.skip(steps)
                    continue
                latents = model.denoise(job, job.seed + index, reporter.on_step)
                image = model.decode(latents)
                check()
                self._publisher.submit(partial(publication.publish, index, image, model))

    def _put_back(self, publication: Publication, *, starts: int) -> None:
        self._publisher.drain()
        claim = publication.claim
        with LiveWriter(self._spool, claim.job_id, starts) as live:
            live.append(Status.QUEUED, {})
        claim.put_back(starts)
        claim.sync()
        log.info("%s: put back into the queue", claim.job_id)


def _problem_of(error: Exception) -> Problem:
    """What a failed job's record says."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DaemonError):
        return Problem("Rendering failed", str(error), status=500)
    log.error("rendering failed", exc_info=error)
    return Problem("Rendering failed", f"{type(error).__name__}: {error}"[:2000], status=500)

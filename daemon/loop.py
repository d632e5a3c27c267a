"""The loop of a slot: claim, render, hand over to be published, and again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from daemon.backlog import Backlog
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
from spool.notify import pat_seconds, patience
from spool.problems import Problem
from spool.room import is_disk_error, is_full
from spool.settings import Settings
from spool.states import Status
from spool.tickets import Ticket
from spool.watch import arrived_at, watching

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

log = logging.getLogger(__name__)

LOAD_SECONDS = 900.0
"""How long a model may take from the slowest disk."""
DECODE_SECONDS = 900.0
"""How long a large picture may take to be decoded on the CPU, where the GPU has no room."""


class Loop:
    """Renders the queue's jobs in one slot until `stop()`, which any thread may call.

    The caller's thread is the GPU's: it claims, denoises and decodes. After a stop the job at
    hand is back in the queue, uncounted, and every finished picture is published.
    """

    def __init__(
        self,
        slot: Slot,
        models: Models,
        heartbeat: Heartbeat,
        previews: PreviewClock,
        settings: Settings | None = None,
    ) -> None:
        self._slot = slot
        self._spool = slot.spool
        self._models = models
        self._heartbeat = heartbeat
        self._counts = heartbeat.counts
        self._previews = previews
        self._settings = settings or Settings()
        self._backlog = Backlog(slot, self._settings.disk, self._serves)
        idle_unload = self._settings.daemon.idle_unload
        self._idle_unload_seconds = float("inf") if idle_unload is None else idle_unload
        self._worked = time.monotonic()
        self._publisher = PublishingThread()
        self._wake = threading.Event()
        self._stopping = False

    def stop(self) -> None:
        """Finish the step at hand and end. Safe in a signal handler."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Look at the queue again."""
        self._backlog.look_again()
        self._wake.set()

    def run(self) -> None:
        """Work until stopped.

        Raises SpoolGone if the spool is no longer there, OSError where its disk fails, what else
        made publishing fail, and the error of a lost GPU.
        """
        try:
            self._run()
        except OSError:
            # The first sign of a spool that is gone is often that some file in it is.
            self._backlog.check()
            raise

    def _run(self) -> None:
        self._publisher.start()
        watch = watching(self._settings.watch, self._spool.work, self._note, on_scan=self.wake)
        try:
            with watch:
                while not self._stopping and self._publisher.failure is None:
                    claim = self._backlog.claim_next()
                    if claim is None:
                        self._rest()
                    else:
                        self._work_on(claim)
                        self._worked = time.monotonic()
        finally:
            self._publisher.close()
        if self._publisher.failure is not None:
            raise self._publisher.failure

    def _note(self, event: FileSystemEvent) -> None:
        # Tickets arrive in queued/; the sidecars that we write ourselves are no news.
        if arrived_at(event).parent == self._spool.queued:
            self.wake()

    def _serves(self, ticket: Ticket) -> bool:
        """Whether a ticket is for this slot; one whose model no slot has fails at whoever comes."""
        if ticket.job is None or ticket.job.model in self._models:
            return True
        return ticket.job.model not in Catalogue.read(self._spool).models

    def _rest(self) -> None:
        self._backlog.check()
        if time.monotonic() - self._worked > self._idle_unload_seconds:
            self._models.unload()
        self._heartbeat.say(SlotState.FULL if self._backlog.is_full else SlotState.IDLE)
        if self._wake.wait(min(HEARTBEAT_SECONDS, pat_seconds(), self._backlog.seconds_until_due)):
            self._wake.clear()

    def _work_on(self, claim: Claim) -> None:
        """Take one job to its end, whatever that is; only a lost disk or GPU gets out."""
        publication = Publication(
            claim, self._slot.name, self._settings.output, self._backlog.pause, self._counts
        )
        check = checkpoint(self._spool.cancel_request(claim.job_id), lambda: self._stopping)
        end: Callable[[], object]
        try:
            check()
            job = self._resolve(claim.ticket)
            model = self._load(job.model)
            publication.start(job, model.warnings(job))
            self._publisher.submit(publication.claim.sync)
            with self._counts.rendering():
                self._draw(publication, job, model, check)
            publication.rendered()
        except Stopped:
            self._publisher.drain()
            publication.put_back()
            return
        except Cancelled:
            end = partial(publication.conclude, Status.CANCELLED)
        except torch.AcceleratorError:
            # Sticky: every later call would fail too. The ticket stays; a restart recovers it.
            log.critical("%s: the GPU is lost", claim.job_id)
            raise
        except Exception as error:
            if is_disk_error(error):
                end = self._without_disk(publication, error)
            else:
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

    def _load(self, name: str) -> Model:
        """The model `name`, in place of the one before it. Raises ModelError."""
        if name == self._models.current:
            return self._models.load(name)
        with patience(LOAD_SECONDS), self._counts.swapping():
            return self._models.load(name)

    def _draw(
        self, publication: Publication, job: ResolvedJob, model: Model, check: Callable[[], None]
    ) -> None:
        """Render every picture of the job that an earlier start has not published."""

        def at_step(step: int, total_steps: int) -> None:
            check()
            self._counts.step_done()
            self._heartbeat.at_step(publication.claim.job_id, step, total_steps)

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
                with patience(DECODE_SECONDS):
                    image = model.decode(latents)
                check()
                # Described here: by the time it is published the model may do other things.
                render = model.describe(job)
                publication.warn(_shortage(job, render))
                self._publisher.submit(partial(publication.publish, index, image, model, render))

    def _without_disk(self, publication: Publication, error: Exception) -> Callable[[], None]:
        """What becomes of a job whose progress cannot be written. Raises `error` if for good."""
        if is_full(error):
            return publication.give_up
        log.critical("%s: the spool cannot be written", publication.claim.job_id)
        # It is not the job's fault; where even a rename fails, a restart recovers it.
        with suppress(OSError):
            publication.put_back()
        raise error


def _shortage(job: ResolvedJob, render: dict[str, Any]) -> list[str]:
    """What was done for want of memory, for the record's warnings."""
    done = []
    if ran_out := render["memory"].get("ran_out"):
        profiles = " and ".join(ran_out)
        size = f"{job.width}x{job.height} px"
        done.append(f"profile {profiles} ran out of memory at {size}, rendered in the next below")
    if render["decoded"] != "whole":
        done.append(f"decoded {render['decoded']}, which needs less memory")
    return [f"memory: {each}; the same job may give other pixels another time" for each in done]


def _problem_of(error: Exception) -> Problem:
    """What a failed job's record says."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        detail = f"the GPU's memory does not suffice for this size: {error}"[:2000]
        return Problem("Out of memory", f"{detail}; ask for fewer pixels", status=500)
    if isinstance(error, DaemonError):
        return Problem("Rendering failed", str(error), status=500)
    log.error("rendering failed", exc_info=error)
    return Problem("Rendering failed", f"{type(error).__name__}: {error}"[:2000], status=500)

"""Publishing behind the GPU's back: encoding, thumbnails, fsync and records on a second thread.

The GPU thread hands pictures over and starts the next job while they are written. What it hands
over is done in order, and the queue is short: when the disk is slower than the GPU, the GPU
waits rather than memory grows.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from PIL.Image import Image

from daemon.counts import Counts
from daemon.families import Model
from daemon.infotext import infotext
from daemon.pictures import encode_picture, encode_thumbnail
from spool import durable, ids
from spool.claims import Claim
from spool.feed import announce
from spool.finishing import finish
from spool.gallery import PictureName, publish_picture, published_name
from spool.jobs import ResolvedJob
from spool.outcomes import Outcome, picture_record, published, record_of
from spool.problems import Problem
from spool.records import PictureRecord
from spool.recovery import say
from spool.room import is_full
from spool.settings import OutputSettings
from spool.states import Status
from spool.version import VERSION

log = logging.getLogger(__name__)

_BACKLOG = 4


class PublishingThread(threading.Thread):
    """Runs what is handed over, in order, until `close()`.

    The first exception ends the work: it is kept in `failure`, and whatever comes after is
    dropped, since a disk that cannot be written must not swallow job after job.
    """

    def __init__(self) -> None:
        super().__init__(name="publishing", daemon=True)
        self.failure: BaseException | None = None
        self._work: queue.Queue[Callable[[], object] | None] = queue.Queue(_BACKLOG)

    def submit(self, work: Callable[[], object]) -> None:
        """Hand `work` over; waits while the backlog is full."""
        self._work.put(work)

    def drain(self) -> None:
        """Wait until everything that was handed over is done."""
        self._work.join()

    def close(self) -> None:
        """Do what was handed over, then end the thread."""
        self._work.put(None)
        self.join()

    def run(self) -> None:
        while True:
            work = self._work.get()
            try:
                if work is None:
                    return
                if self.failure is None:
                    work()
            except Exception as error:
                log.exception("publishing failed")
                self.failure = error
            finally:
                self._work.task_done()


class Publication:
    """What one start of a job publishes.

    `start`, `warn` and `rendered` belong on the GPU's thread, all else on the publishing thread.
    """

    def __init__(
        self,
        claim: Claim,
        slot: str,
        output: OutputSettings,
        on_full: Callable[[], None],
        counts: Counts,
    ) -> None:
        self.claim = claim
        self._output = output
        self._on_full = on_full
        self._counts = counts
        self._is_full = False
        self._claimed_starts = claim.name.starts
        self._job = claim.ticket.job
        self._slot = slot
        self._images: list[PictureRecord] = []
        self._warnings: list[str] = []
        self._fault: Problem | None = None
        self._starts = claim.name.starts
        self._started_at: str | None = None
        self._started = time.monotonic()

    def start(self, job: ResolvedJob, warnings: Iterable[str] = ()) -> None:
        """Count the start of `job`; from here on the GPU works. Its record will have `warnings`."""
        self.claim = self.claim.start()
        self._starts = self.claim.name.starts
        self._job = job
        self._warnings.extend(warnings)
        self._started_at = ids.now()
        self._started = time.monotonic()

    def warn(self, warnings: Iterable[str]) -> None:
        """Add to the record's warnings what is not there yet."""
        self._warnings.extend(each for each in warnings if each not in self._warnings)

    def rendered(self) -> None:
        """Take the start back once the GPU is done: a death from here on is not the job's fault."""
        self.claim = self.claim.uncount()

    def is_published(self, index: int) -> bool:
        """Whether an earlier start of the job has published its picture `index`."""
        return published_name(self.claim.spool, self.claim.job_id, index) is not None

    def publish(self, index: int, image: Image, model: Model, render: dict[str, Any]) -> None:
        """Encode the picture and publish it, its thumbnail and its line in the feed.

        `render` is the model's description of the job, made when it was rendered. Raises OSError
        where the disk fails; for a full one the job goes back to the queue at its end. Any other
        fault is the picture's and fails the job: it would end every daemon that came to publish
        it.
        """
        try:
            if not self._is_full:
                self._publish(index, image, model, render)
        except OSError as error:
            self._note_full(error)
        except Exception as error:
            log.exception("%s: picture %s cannot be published", self.claim.job_id, index)
            detail = f"picture {index}: {type(error).__name__}: {error}"[:2000]
            self._fault = Problem("Publishing failed", detail, status=500)

    def _publish(self, index: int, image: Image, model: Model, render: dict[str, Any]) -> None:
        assert self._job is not None
        if all(low == high for low, high in _extrema(image)):
            self._warnings.append(f"picture {index} has one colour only; try another seed or steps")
        seed = self._job.seed + index
        label = model.sampler_label(self._job)
        text = infotext(self._job, seed, label, self._job.model, f"genzo {VERSION}", render)
        data = encode_picture(image, self._output, text, self._private(index, render))
        name = PictureName(self.claim.job_id, index, self._output.format)
        if publish_picture(self.claim.spool, name, data, encode_thumbnail(image)):
            self._enter(name, data)
            self._counts.picture_published()
        else:
            self.adopt(index)

    def adopt(self, index: int) -> None:
        """Enter a picture that an earlier start of the job has published."""
        spool = self.claim.spool
        name = published_name(spool, self.claim.job_id, index)
        if name is None:
            self._warnings.append(f"picture {index} was removed before its job was finished")
            return
        try:
            # Whoever published it may have died before its name was durable.
            durable.sync_directories(name.picture(spool).parent)
            self._enter(name, name.picture(spool).read_bytes())
        except OSError as error:
            self._note_full(error)

    def _enter(self, name: PictureName, data: bytes) -> None:
        """Note the picture for the record and announce it."""
        assert self._job is not None
        self._images.append(picture_record(name, self._job.seed + name.index, data))
        announce(self.claim.spool, str(name), {"job_id": self.claim.job_id})

    def conclude(
        self,
        status: Status,
        *,
        error: Problem | None = None,
        render: dict[str, Any] | None = None,
    ) -> None:
        """Write the record and everything that follows it; a picture's fault fails the job.

        Where the disk has no room for that, the job goes back to the queue uncounted; what it has
        published by then is not rendered again.
        """
        if not self._is_full:
            try:
                self._finish(status, error, render)
            except OSError as fault:
                self._note_full(fault)
        if self._is_full:
            self.give_up()

    def give_up(self) -> None:
        """Return the job to the queue for want of room, and say that nothing should be started."""
        log.error("%s: the disk has no room for its result", self.claim.job_id)
        self._on_full()
        self.put_back()

    def put_back(self) -> None:
        """Return the job to the queue, with the count of starts that it was claimed with."""
        name = replace(self.claim.name, starts=self._claimed_starts)
        say(self.claim.spool, name, Status.QUEUED)
        self.claim.put_back(name.starts)
        self.claim.sync()
        log.info("%s: put back into the queue", self.claim.job_id)

    def _note_full(self, error: OSError) -> None:
        """Remember that the disk is full. Raises any other `error`."""
        if not is_full(error):
            raise error
        self._is_full = True

    def _finish(self, status: Status, error: Problem | None, render: dict[str, Any] | None) -> None:
        if self._fault is not None:
            status, error = Status.FAILED, self._fault
        if status is not Status.COMPLETED:
            # An earlier start that died may have published what this one never came to.
            self._images = list(published(self.claim.spool, self.claim.ticket))
        seconds = round(time.monotonic() - self._started, 3)
        outcome = Outcome(
            status=status,
            starts=self._starts,
            slot=self._slot,
            started_at=self._started_at,
            images=tuple(self._images),
            error=error.as_json() if error else None,
            warnings=tuple(self._warnings),
            render={**(render or {}), "seconds": seconds, "genzo": VERSION},
        )
        winner = finish(self.claim, record_of(replace(self.claim.ticket, job=self._job), outcome))
        self._counts.job_ended(winner.status)
        about = {"model": self._job.model} if self._job else None
        log.info("%s: %s in %.2f s", winner.job_id, winner.status, seconds, extra=about)

    def _private(self, index: int, render: dict[str, Any]) -> dict[str, Any]:
        assert self._job is not None
        return {
            "format": 1,
            "job_id": self.claim.job_id,
            "index": index,
            "seed": self._job.seed + index,
            "request": self.claim.ticket.request.model_dump(mode="json", exclude_unset=True),
            "job": self._job.model_dump(mode="json"),
            "render": render,
            "genzo": VERSION,
        }


def _extrema(image: Image) -> list[tuple[int, int]]:
    return [band.getextrema() for band in image.split()]  # type: ignore[misc]

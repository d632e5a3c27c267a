"""What happens after each denoising step: progress, a preview now and then, and being stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from daemon.families import Step
from daemon.previews import encode_preview
from spool.live import LiveWriter


class Interrupted(Exception):
    """Raised inside a step callback to leave the picture unfinished."""


class Cancelled(Interrupted):
    """The job was cancelled by a user."""


class Stopped(Interrupted):
    """The daemon was asked to end; the job goes back to the queue."""


class PreviewClock:
    """Says when the next preview is due, over all jobs of the daemon."""

    def __init__(self, per_second: float) -> None:
        self._interval_seconds = 1 / per_second if per_second else float("inf")
        self._last = float("-inf")

    def due(self) -> bool:
        """Whether a preview may be made now; if so, the next one is due an interval later."""
        now = time.monotonic()
        if now - self._last < self._interval_seconds:
            return False
        self._last = now
        return True


class StepReporter:
    """Reports the steps of one job, counted over all its pictures.

    `checkpoint` is called at each step before anything is reported, with the number of steps done
    and of all; it may raise Interrupted.
    """

    def __init__(
        self,
        live: LiveWriter,
        total_steps: int,
        previews: PreviewClock,
        checkpoint: Callable[[int, int], None],
    ) -> None:
        self._live = live
        self._total_steps = total_steps
        self._previews = previews
        self._checkpoint = checkpoint
        self._before = 0
        """The steps of the pictures that are behind us."""

    def begin(self) -> None:
        """Report the start: no step done."""
        self._live.progress(0, self._total_steps)

    def on_step(self, step: Step) -> None:
        """Report one more step; to be handed to `Model.denoise`."""
        # By its own number: a picture that ran out of memory is begun again.
        done = self._before + step.step
        self._checkpoint(done, self._total_steps)
        if step.step == step.total:
            self._before = done
        # After the last step the picture itself is moments away.
        preview = step.preview() if step.step < step.total and self._previews.due() else None
        jpeg = encode_preview(preview) if preview else None
        self._live.progress(done, self._total_steps, jpeg)

    def skip(self, steps: int) -> None:
        """Count the steps of a picture that an earlier start has published."""
        self._before += steps
        self._live.progress(self._before, self._total_steps)


def checkpoint(cancel_request: Path, stopping: Callable[[], bool]) -> Callable[[], None]:
    """A check that raises Cancelled once `cancel_request` exists, Stopped once `stopping()`."""

    def check() -> None:
        if cancel_request.exists():
            raise Cancelled
        if stopping():
            raise Stopped

    return check

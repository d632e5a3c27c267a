"""Counts of what a slot does, from all of its threads."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from spool import ids
from spool.states import Status
from spool.tally import Tally


class Counts:
    """Counts from the moment it is made. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = ids.now()
        self._counts: Counter[str] = Counter()
        self._rendering_seconds = 0.0
        self._swap_seconds = 0.0

    def job_ended(self, status: Status) -> None:
        """A job has its record, with one of the final states."""
        self._add(status.value)

    def picture_published(self) -> None:
        self._add("pictures")

    def step_done(self) -> None:
        self._add("steps")

    @contextmanager
    def rendering(self) -> Iterator[None]:
        """The block renders; its time counts however it ends."""
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._rendering_seconds += time.monotonic() - started

    @contextmanager
    def swapping(self) -> Iterator[None]:
        """The block puts one model in the place of another; it counts if that succeeds."""
        started = time.monotonic()
        yield
        with self._lock:
            self._counts["model_swaps"] += 1
            self._swap_seconds += time.monotonic() - started

    @property
    def tally(self) -> Tally:
        """What was counted by now."""
        with self._lock:
            return Tally(
                since=self._since,
                rendering_seconds=round(self._rendering_seconds, 3),
                model_swap_seconds=round(self._swap_seconds, 3),
                **self._counts,
            )

    def _add(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

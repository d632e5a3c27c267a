"""What a slot tells the world: slots/<slot>.json for everyone, a status line for systemd."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from daemon.counts import Counts
from daemon.footprint import footprint
from daemon.models import Models
from spool import ids
from spool.catalogue import ModelEntry, ModelState, SlotReport, SlotState, publish_report
from spool.layout import Spool
from spool.notify import pat, say
from spool.room import is_full
from spool.states import scan

HEARTBEAT_SECONDS = 10.0
_CHANGE_SECONDS = 1.0


class Heartbeat:
    """Publishes the slot's state, at most once a second while jobs follow one another fast."""

    def __init__(self, spool: Spool, slot: str, models: Models, device: str) -> None:
        self._spool = spool
        self._slot = slot
        self._models = models
        self._device = device
        self.counts = Counts()
        """What its reports tell of the slot's work."""
        self._last = float("-inf")
        self._looked = time.monotonic()
        self._patted = float("-inf")
        self._job_id: str | None = None
        self._step = 0
        self._total_steps = 0

    def say(self, state: SlotState) -> None:
        """Publish `state` now."""
        self._publish(state, None)

    def at_step(self, job_id: str, step: int, total_steps: int) -> None:
        """Tell that `job_id` is being rendered, if it is news or the last word is old.

        The watchdog is told at each step, but not more often than once a second.
        """
        now = time.monotonic()
        self._step, self._total_steps = step, total_steps
        if now - self._patted > _CHANGE_SECONDS:
            self._patted = now
            pat()
        silent_seconds = now - self._last
        news = job_id != self._job_id and silent_seconds > _CHANGE_SECONDS
        if news or silent_seconds > HEARTBEAT_SECONDS:
            self._publish(SlotState.RENDERING, job_id)

    def _publish(self, state: SlotState, job_id: str | None) -> None:
        self._last = time.monotonic()
        self._job_id = job_id
        if self._last - self._looked > HEARTBEAT_SECONDS:
            self._looked = self._last
            self._models.refresh()
        report = SlotReport(
            slot=self._slot,
            state=state,
            heartbeat=ids.now(),
            pid=os.getpid(),
            device=self._device,
            models=self._entries(state),
            job_id=job_id,
            unusable=self._models.unusable,
            tally=self.counts.tally,
            memory=None if state is SlotState.STOPPED else footprint(),
        )
        try:
            publish_report(self._spool, report)
        except OSError as error:
            if not is_full(error):
                raise
        # A start or an end takes as long as it takes; the first pat would set the watchdog on it.
        if state not in {SlotState.STARTING, SlotState.STOPPED}:
            pat()
        say(f"{self._doing(state)}, {len(scan(self._spool.queued))} waiting")

    def _doing(self, state: SlotState) -> str:
        if self._job_id is None:
            return str(state)
        return f"{state} {self._job_id}, step {self._step} of {self._total_steps}"

    def _entries(self, state: SlotState) -> tuple[ModelEntry, ...]:
        entries = self._models.entries
        if state is not SlotState.STOPPED:
            return entries
        # This is read when the process is gone, and its memory with it.
        return tuple(
            entry if entry.error else replace(entry, state=ModelState.COLD) for entry in entries
        )

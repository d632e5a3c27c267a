"""When the jobs in the queue will be finished, if all goes on as it did.

How long a job takes is what jobs like it took (`spool.history`); the slots that are alive take the
tickets in run order (`spool.forecast`). That is played through for the first HORIZON tickets.
Nothing is promised, and nothing else depends on it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from spool.catalogue import is_alive, read_reports
from spool.forecast import Forecast, SlotAhead, Waiting, play
from spool.history import History, Work
from spool.layout import Spool
from spool.live import last_event
from spool.states import Status, scan
from spool.views import JobView

HORIZON = 1000
"""How many waiting tickets are looked into; those behind are taken to be like them."""
FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What a ticket asks for, None while unknown, and the instant in seconds since 1970 before
    which it may not start."""

    work: Work | None
    due: float = 0.0


class Outlook:
    """Forecasts of a spool's queue. Safe among threads; asked often, it looks once a second."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._history = History(spool)
        self._demands: dict[str, Demand] = {}
        self._forecast: Forecast | None = None
        self._made = float("-inf")
        self._lock = threading.Lock()

    def seen(self, view: JobView) -> JobView:
        """`view` with its `eta_seconds`, if it waits or runs and something is known."""
        if view.status not in {Status.QUEUED, Status.PROCESSING}:
            return view
        eta = self.eta_seconds(view.job_id, view.queue_position, view.job)
        return replace(view, eta_seconds=eta)

    def eta_seconds(
        self, job_id: str, place: int | None, job: dict[str, Any] | None = None
    ) -> float | None:
        """Seconds until the job is finished, waiting included; None if nothing is known.

        `place` counts from 1 and is None unless it is queued; `job` is as resolved, and is looked
        at if the job has come since the latest look.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._made > FRESH_SECONDS:
                self._forecast, self._made = self._look(), now
            if self._forecast is None:
                return None
            end = self._forecast.ends.get(job_id)
            if end is None and place is not None:
                own = self._seconds(_work_of(job))
                end = None if own is None else self._forecast.end_at(place, own)
            return None if end is None else round(max(0.0, end - (now - self._made)), 1)

    def _look(self) -> Forecast | None:
        """The forecast of this moment; None if no slot is alive."""
        alive = [report for report in read_reports(self._spool) if is_alive(report)]
        if not alive:
            return None
        self._history.refresh()
        running: dict[str, float] = {}
        slots = []
        for report in alive:
            free = 0.0
            for job_id, seconds in self._running(self._spool.active / report.slot):
                running[job_id] = free = free + seconds
            slots.append(SlotAhead(frozenset(model.name for model in report.models), free))
        forecast = play(slots, self._waiting())
        return replace(forecast, ends=forecast.ends | running)

    def _running(self, directory: Path) -> Iterator[tuple[str, float]]:
        """The jobs in a slot, and the seconds that each still takes, if that is known."""
        for name in scan(directory):
            seconds = self._seconds(_read(directory / str(name)).work)
            if seconds is not None:
                last = last_event(self._spool.events(name.job_id))
                seen = last.data if last is not None else {}
                is_told = seen.get("starts") == name.starts and seen.get("total_steps")
                done = seen["step"] / seen["total_steps"] if is_told else 0.0
                yield name.job_id, seconds * max(0.0, 1 - done)

    def _waiting(self) -> Iterator[Waiting]:
        """The tickets in run order of which it is known how long they will take."""
        demands = {}
        for place, name in enumerate(scan(self._spool.queued)[:HORIZON]):
            demand = self._demands.get(name.job_id) or _read(self._spool.queued / str(name))
            demands[name.job_id] = demand
            seconds = self._seconds(demand.work)
            if demand.work is not None and seconds is not None:
                due = max(0.0, demand.due - time.time()) if demand.due else 0.0
                yield Waiting(place, name.job_id, demand.work.model, seconds, due)
        self._demands = demands

    def _seconds(self, work: Work | None) -> float | None:
        return None if work is None else self._history.seconds(work)


def _read(ticket: Path) -> Demand:
    try:
        document = json.loads(ticket.read_bytes())
        not_before = document["request"].get("not_before")
        due = datetime.fromisoformat(not_before).timestamp() if not_before else 0.0
        return Demand(_work_of(document["job"]), due)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Demand(None)


def _work_of(job: dict[str, Any] | None) -> Work | None:
    try:
        return None if job is None else Work.of(job)
    except (KeyError, TypeError):
        return None

"""The queue played through: which slot will take which job, and when each will be finished."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Waiting:
    """A job that waits at `place`, takes `seconds`, and may start in `due` seconds."""

    place: int
    job_id: str
    model: str
    seconds: float
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class SlotAhead:
    """A slot, the models that it serves, and in how many seconds it is free."""

    models: frozenset[str]
    free: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """In how many seconds jobs are finished; `free`: in how many one more would be started.

    `places` are the ends of the waiting jobs in run order, `seconds_each` is what each of them
    adds to the time of those behind it.
    """

    ends: dict[str, float]
    places: tuple[float, ...] = ()
    free: float = 0.0
    seconds_each: float = 0.0

    def end_at(self, place: int, seconds: float) -> float:
        """The end of a job of `seconds` at `place`, from 1, that was not there to be played."""
        unseen = place - len(self.places) - 1
        if unseen >= 0:
            return self.free + unseen * self.seconds_each + seconds
        return (self.places[place - 2] if place > 1 else 0.0) + seconds


def play(slots: Sequence[SlotAhead], queue: Iterable[Waiting]) -> Forecast:
    """Let `slots` take the jobs in run order, each what it serves and what is due by then.

    Jobs whose model no slot has are not among the ends.
    """
    ready: dict[str, list[Waiting]] = {}
    later: list[tuple[float, Waiting]] = []
    for job in queue:
        heapq.heappush(later, (job.due, job))
    free = [(slot.free, number) for number, slot in enumerate(slots)]
    heapq.heapify(free)
    resting: list[float] = []
    ended: dict[Waiting, float] = {}
    while free:
        now, number = heapq.heappop(free)
        while later and later[0][0] <= now:
            job = heapq.heappop(later)[1]
            heapq.heappush(ready.setdefault(job.model, []), job)
        heads = [ready[model] for model in slots[number].models if ready.get(model)]
        if heads:
            job = heapq.heappop(min(heads))
            ended[job] = now + job.seconds
            heapq.heappush(free, (ended[job], number))
        elif later:
            heapq.heappush(free, (later[0][0], number))
        else:
            resting.append(now)
    return Forecast(
        {job.job_id: end for job, end in ended.items()},
        tuple(end for _, end in sorted(ended.items())),
        min(resting, default=0.0),
        sum(job.seconds for job in ended) / len(ended) / len(slots) if ended else 0.0,
    )

"""How long jobs took here: what the latest records say, and what a job like those would take."""

from __future__ import annotations

import heapq
import itertools
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from spool import ids
from spool.layout import Spool, shards
from spool.records import Record, read_record
from spool.states import Status

REMEMBERED = 200
"""How many of the latest jobs are learnt from."""
COMPARED = 24
"""How many of them a line is laid through; their pairs grow with the square."""


@dataclass(frozen=True, slots=True)
class Work:
    """What decides how long a job takes: `pixels` of one picture, `steps` over all of them."""

    model: str
    pixels: int
    steps: int

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Self:
        """The work of a resolved job. Raises KeyError or TypeError if it is none."""
        return cls(job["model"], job["width"] * job["height"], job["steps"] * job["count"])


@dataclass(frozen=True, slots=True)
class Sample:
    """A completed job and the `seconds` from its start to its record."""

    work: Work
    seconds: float


def estimate(samples: Sequence[Sample], work: Work) -> float | None:
    """The seconds that `work` will take; None without a sample. The latest samples come first.

    From the jobs of the same model and size, else of the same model, else from all. Through their
    seconds over steps, or over steps times pixels, goes the line of Theil and Sen, the median of
    all slopes: a few jobs that met a cold cache or a full disk do not bend it.
    (P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, 1968.)
    """
    own = [sample for sample in samples if sample.work.model == work.model]
    alike = [sample for sample in own if sample.work.pixels == work.pixels]
    if alike:
        return _on_line([(s.work.steps, s.seconds) for s in alike[:COMPARED]], work.steps)
    points = [(s.work.steps * s.work.pixels, s.seconds) for s in (own or samples)[:COMPARED]]
    return _on_line(points, work.steps * work.pixels) if points else None


def _on_line(points: Sequence[tuple[int, float]], x: int) -> float:
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in itertools.combinations(points, 2)
        if later[0] != earlier[0]
    ]
    slope = statistics.median(slopes) if slopes else 0.0
    rest = statistics.median(seconds - slope * at for at, seconds in points)
    if slope <= 0 or rest < 0:
        # All alike, or too noisy for a line: one through the origin.
        return x * statistics.median(seconds / at for at, seconds in points)
    return rest + slope * x


class History:
    """The samples of a spool's latest jobs. Not safe among threads.

    Each record is read once, and a folder is listed again only when it has changed.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._folders: dict[Path, tuple[int, list[str]]] = {}
        self._known: dict[str, Sample | None] = {}
        self._estimates: dict[Work, float | None] = {}

    def refresh(self) -> None:
        """Take in the records that have come since the last call."""
        latest = self._latest()
        if latest == list(self._known):
            return
        self._known = {
            job_id: self._known[job_id] if job_id in self._known else self._sample(job_id)
            for job_id in latest
        }
        self._estimates.clear()

    def seconds(self, work: Work) -> float | None:
        """What `work` would take here, or None if nothing was ever rendered."""
        if work not in self._estimates:
            samples = [sample for sample in self._known.values() if sample is not None]
            self._estimates[work] = estimate(samples, work)
        return self._estimates[work]

    def _latest(self) -> list[str]:
        latest: list[str] = []
        folders = {}
        for folder in shards(self._spool.done):
            if len(latest) >= REMEMBERED:
                break
            folders[folder] = self._listed(folder)
            latest += folders[folder][1]
        self._folders = folders
        return latest[:REMEMBERED]

    def _listed(self, folder: Path) -> tuple[int, list[str]]:
        try:
            changed_ns = folder.stat().st_mtime_ns
            known = self._folders.get(folder)
            if known is not None and known[0] == changed_ns:
                return known
            names = heapq.nlargest(REMEMBERED, os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return (0, [])
        if time.time_ns() - changed_ns < _SETTLED_NS:
            changed_ns = 0  # the next change may leave the same time behind
        stems = (name.removesuffix(".json") for name in names)
        return (changed_ns, list(filter(ids.is_job_id, stems)))

    def _sample(self, job_id: str) -> Sample | None:
        try:
            record = read_record(self._spool, job_id)
            return _sample_of(record) if record is not None else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


_SETTLED_NS = 2_000_000_000


def _sample_of(record: Record) -> Sample | None:
    seconds = record.render.get("seconds")
    if record.status is not Status.COMPLETED or record.job is None or not seconds:
        return None
    # A second start found pictures of the first, and took less than the job takes.
    return Sample(Work.of(record.job), float(seconds)) if record.starts == 1 else None

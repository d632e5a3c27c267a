"""Metrics of the queue, the disk and the refused files, from names and few tickets alone."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from spool import ids
from spool.layout import CANCEL_SLOT, Spool
from spool.rejections import REPORT_SUFFIX
from spool.room import Room
from spool.settings import DiskSettings
from spool.states import Status, TicketName, scan

MOST_REJECTED = 10_000
"""How many refused files are counted: a flood of them must not make every scrape dear."""
_LOOKED_AT = 50
"""How many of the oldest tickets are looked into for one that may start."""


def disk(spool: Spool, floor: DiskSettings) -> Iterator[Metric]:
    """The room on the spool's disk, and the floor. Raises OSError."""
    room = Room.of(spool)
    yield GaugeMetricFamily("genzo_disk_free_bytes", "Bytes free on the spool's disk", room.bytes)
    yield GaugeMetricFamily(
        "genzo_disk_floor_bytes", "Below it nothing is accepted or started", floor.floor_bytes
    )
    if room.inodes is not None:
        yield GaugeMetricFamily(
            "genzo_disk_free_inodes", "Inodes free on the spool's disk", room.inodes
        )
    yield GaugeMetricFamily(
        "genzo_disk_floor_inodes", "Below it nothing is accepted or started", floor.floor_inodes
    )


def jobs(spool: Spool) -> Iterator[Metric]:
    """How many jobs are in each state that has tickets, and how long the oldest waits."""
    queued = scan(spool.queued)
    slots = [slot for slot in spool.active.iterdir() if slot.name != CANCEL_SLOT]
    family = GaugeMetricFamily("genzo_jobs", "Jobs that are not finished", labels=["status"])
    family.add_metric([Status.QUEUED], len(queued))
    family.add_metric([Status.PROCESSING], sum(len(scan(slot)) for slot in slots))
    family.add_metric([Status.HELD], len(scan(spool.held)))
    yield family
    yield GaugeMetricFamily(
        "genzo_oldest_job_wait_seconds",
        "How long the oldest job of the queue could have started; 0 if none waits but for its hour",
        _oldest_wait_seconds(spool.queued, queued),
    )


def rejected(spool: Spool) -> Iterator[Metric]:
    """How many refused files lie in rejected/. Raises OSError."""
    reports = (name for name in _names(spool.rejected) if name.endswith(REPORT_SUFFIX))
    yield GaugeMetricFamily(
        "genzo_rejected_files",
        f"Refused files in rejected/, counted up to {MOST_REJECTED}",
        sum(1 for _ in itertools.islice(reports, MOST_REJECTED)),
    )


def _oldest_wait_seconds(directory: Path, names: Sequence[TicketName]) -> float:
    now = time.time()
    for name in heapq.nsmallest(_LOOKED_AT, names, key=lambda each: each.job_id):
        startable = max(ids.created_ms(name.job_id) / 1000, _due(directory / str(name)))
        if startable <= now:
            return now - startable
    return 0.0


def _due(ticket: Path) -> float:
    """The ticket's `not_before` in seconds since 1970; 0 without one, and for what has moved."""
    try:
        not_before = json.loads(ticket.read_bytes())["request"].get("not_before")
        return datetime.fromisoformat(not_before).timestamp() if not_before else 0.0
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0.0


def _names(folder: Path) -> Iterator[str]:
    """The names of the files below `folder`, read as they are asked for."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _names(Path(entry.path))
            else:
                yield entry.name

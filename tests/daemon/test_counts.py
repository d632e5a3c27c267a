"""What a slot counts of its work, told by its report."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import psutil
import pytest

from daemon.counts import Counts
from daemon.families import ModelSpec
from daemon.heartbeat import Heartbeat
from daemon.models import Models
from spool.catalogue import SlotReport, SlotState, read_reports
from spool.layout import Spool
from spool.live import last_event
from spool.states import Status
from spool.tally import Tally
from tests.daemon.slots import record_of, running_slot, submit
from tests.services import wait_for


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def specs(tiny_spec: ModelSpec, flow_specs: dict[str, ModelSpec]) -> list[ModelSpec]:
    return [tiny_spec, flow_specs["turbo"]]


def told(spool: Spool) -> SlotReport:
    [report] = read_reports(spool)
    return report


def test_jobs_pictures_steps_and_swaps_are_counted(spool: Spool, specs: list[ModelSpec]) -> None:
    first, second = specs
    with running_slot(spool, first, second) as running:
        running.models.load(first.name)
        record_of(spool, submit(spool, model=first.name, count=2, steps=3))
        record_of(spool, submit(spool, model=second.name, steps=4))
        long = submit(spool, model=second.name, steps=150)
        wait_for(lambda: (seen := last_event(spool.events(long))) and seen.data["step"] > 2)
        spool.cancel_request(long).touch()
        assert record_of(spool, long).status is Status.CANCELLED
    tally = running.heartbeat.counts.tally
    assert (tally.completed, tally.cancelled, tally.failed) == (2, 1, 0)
    assert tally.pictures == 3
    assert 10 + 2 < tally.steps < 10 + 150
    assert tally.model_swaps == 1
    assert tally.rendering_seconds > 0
    assert tally.model_swap_seconds > 0


def test_a_report_has_the_counts_and_the_memory_of_its_process(
    spool: Spool, specs: list[ModelSpec]
) -> None:
    heartbeat = Heartbeat(spool, "0", Models(specs), "cpu")
    heartbeat.counts.job_ended(Status.FAILED)
    heartbeat.say(SlotState.IDLE)
    report = told(spool)
    assert report.tally == heartbeat.counts.tally
    assert report.tally is not None
    assert report.tally.failed == 1
    assert report.memory is not None
    resident_bytes = psutil.Process(os.getpid()).memory_info().rss
    assert report.memory.resident_bytes == pytest.approx(resident_bytes, rel=0.2)
    heartbeat.say(SlotState.STOPPED)
    assert told(spool).memory is None
    assert told(spool).tally == report.tally


def test_the_time_of_a_failed_job_counts_and_a_swap_that_fails_does_not() -> None:
    counts = Counts()
    with pytest.raises(RuntimeError), counts.swapping():
        raise RuntimeError
    assert counts.tally == Tally(counts.tally.since)
    with contextlib.suppress(RuntimeError), counts.rendering():
        time.sleep(0.01)
        raise RuntimeError
    assert 0.01 <= counts.tally.rendering_seconds < 10

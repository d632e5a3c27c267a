"""When jobs will be finished, by what jobs like them took here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spool import ids
from spool.catalogue import SlotReport, SlotState, publish_report
from spool.claims import Slot
from spool.control import Verb, command
from spool.forecast import Forecast, SlotAhead, Waiting, play
from spool.layout import Spool
from spool.live import LiveWriter
from spool.outlook import FRESH_SECONDS, Outlook
from spool.states import scan
from spool.views import job_view
from tests.spool.samples import MODEL, queue_job
from tests.spool.test_history import rendered

TWENTY_STEPS = 10.0


@pytest.fixture
def known(spool: Spool) -> Spool:
    """A spool with one slot that is alive, and jobs of 20 steps that took 10 seconds."""
    report(spool)
    for _ in range(3):
        rendered(spool, TWENTY_STEPS, steps=20)
    return spool


def report(spool: Spool, slot: str = "0", state: SlotState = SlotState.IDLE) -> None:
    publish_report(spool, SlotReport(slot, state, ids.now(), 1, "cpu", (MODEL,)))


def queued(spool: Spool, **fields: Any) -> str:
    return queue_job(spool, **fields).job_id


def eta(spool: Spool, job_id: str, outlook: Outlook | None = None) -> float | None:
    view = job_view(spool, job_id)
    assert view is not None
    return (outlook or Outlook(spool)).seen(view).eta_seconds


def test_a_waiting_job_waits_for_those_before_it(known: Spool) -> None:
    first, second = queued(known, steps=20), queued(known, steps=40)
    urgent = queued(known, steps=20, priority=90)
    assert eta(known, urgent) == pytest.approx(10, abs=1)
    assert eta(known, first) == pytest.approx(20, abs=1)
    assert eta(known, second) == pytest.approx(40, abs=1)


def test_two_slots_halve_the_wait(known: Spool) -> None:
    report(known, "1")
    waiting = [queued(known, steps=20) for _ in range(4)]
    assert [eta(known, job_id) for job_id in waiting] == pytest.approx([10, 10, 20, 20], abs=1)


def test_a_running_job_ends_sooner_with_every_step(known: Spool) -> None:
    running, waiting = queued(known, steps=20), queued(known, steps=20)
    slot = Slot.acquire(known, "0", timeout_seconds=5)
    claim = slot.claim(scan(known.queued)[0])
    assert claim is not None
    claim.start()
    assert eta(known, running) == pytest.approx(10, abs=1)
    with LiveWriter(known, running, 1) as live:
        live.progress(15, 20)
    assert eta(known, running) == pytest.approx(2.5, abs=0.5)
    assert eta(known, waiting) == pytest.approx(12.5, abs=1)
    slot.release()


def test_a_job_waits_for_its_hour_and_others_do_not_wait_for_it(known: Spool) -> None:
    hour = datetime.now(UTC) + timedelta(hours=1)
    late = queued(known, steps=20, not_before=hour.isoformat())
    soon = queued(known, steps=20)
    assert eta(known, soon) == pytest.approx(10, abs=1)
    assert eta(known, late) == pytest.approx(3610, abs=5)


def test_a_held_job_has_no_estimate_and_holds_up_nobody(known: Spool) -> None:
    held, waiting = queued(known, steps=20), queued(known, steps=20)
    command(known, Verb.HOLD, held)
    assert eta(known, held) is None
    assert eta(known, waiting) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("state", [SlotState.STOPPED, None])
def test_nothing_is_estimated_while_nobody_renders(known: Spool, state: SlotState | None) -> None:
    if state is None:
        (known.slots / "0.json").unlink()
    else:
        report(known, state=state)
    assert eta(known, queued(known)) is None


def test_nothing_is_estimated_without_a_history(spool: Spool) -> None:
    report(spool)
    assert eta(spool, queued(spool)) is None


def test_a_job_that_came_since_the_last_look_follows_the_others(known: Spool) -> None:
    outlook = Outlook(known)
    first = queued(known, steps=20)
    assert eta(known, first, outlook) == pytest.approx(10, abs=1)
    assert eta(known, queued(known, steps=20), outlook) == pytest.approx(20, abs=1)


def test_asking_often_costs_one_look(known: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def counting(slots: Sequence[SlotAhead], queue: Iterable[Waiting]) -> Forecast:
        looks.append(slots)
        return play(slots, queue)

    monkeypatch.setattr("spool.outlook.play", counting)
    outlook = Outlook(known)
    job_id = queued(known, steps=20)
    began = time.monotonic()
    for _ in range(200):
        eta(known, job_id, outlook)
    assert len(looks) <= 1 + (time.monotonic() - began) / FRESH_SECONDS


def test_the_command_line_tells_it_too(known: Spool) -> None:
    job_id = queued(known, steps=20)

    def genzo(*arguments: str) -> str:
        command = [sys.executable, "-m", "spool", "--spool", str(known.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert json.loads(genzo("show", job_id, "--json"))["eta_seconds"] == pytest.approx(10, abs=1)
    assert "about 10 s" in genzo("show", job_id)
    assert " 10 s " in genzo("queue")

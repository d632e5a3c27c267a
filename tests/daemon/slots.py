"""A slot with its loop in this process, on a spool of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from daemon.families import ModelSpec
from daemon.heartbeat import Heartbeat
from daemon.loop import Loop
from daemon.models import Models
from daemon.progress import PreviewClock
from spool.acceptance import Sender, admit, draw_ticket
from spool.catalogue import Catalogue, SlotState
from spool.claims import Slot
from spool.jobs import parse_request
from spool.layout import Spool
from spool.picture_files import PictureFormat
from spool.records import Record, read_record
from spool.settings import Settings
from tests.services import wait_for

SMALL = {"prompt": "x", "width": 64, "height": 64, "steps": 3}


def submit(
    spool: Spool, *, resolved: bool = True, drop_name: str | None = None, **fields: Any
) -> str:
    """Queue a small job; not `resolved` means as on a spool that no daemon has published to."""
    catalogue = Catalogue.read(spool) if resolved else Catalogue()
    request = parse_request({**SMALL, **fields})
    ticket = draw_ticket(spool, request, catalogue, Sender("cli", 0, drop_name))
    admit(spool, ticket)
    return ticket.job_id


def record_of(spool: Spool, job_id: str) -> Record:
    """The record of a job, once it has one."""
    wait_for(lambda: spool.record(job_id).exists(), what=f"the record of {job_id}")
    record = read_record(spool, job_id)
    assert record is not None
    return record


@dataclass
class RunningSlot:
    """A slot whose loop runs in a thread; `error` is what ended it, if anything did."""

    spool: Spool
    slot: Slot
    models: Models
    loop: Loop
    heartbeat: Heartbeat
    error: BaseException | None = None


@contextmanager
def running_slot(
    spool: Spool, *specs: ModelSpec, name: str = "0", settings: Settings | None = None
) -> Iterator[RunningSlot]:
    """Run a slot that serves `specs` until the end of the block."""
    slot = Slot.acquire(spool, name, timeout_seconds=0)
    models = Models(specs, settings.output.format if settings else PictureFormat.PNG)
    heartbeat = Heartbeat(spool, name, models, "cpu")
    heartbeat.say(SlotState.STARTING)
    loop = Loop(slot, models, heartbeat, PreviewClock(4), settings)
    running = RunningSlot(spool, slot, models, loop, heartbeat)

    def run() -> None:
        try:
            running.loop.run()
        except BaseException as error:  # handed to the test
            running.error = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.loop.stop()
        thread.join(60)
        slot.release()
        assert not thread.is_alive()

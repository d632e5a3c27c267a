"""Diagnoses of a spool, and slots that live, hang or died."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from spool.catalogue import SlotState, publish_report
from spool.checks.findings import Finding, Level
from spool.claims import Claim, Slot
from spool.diagnosis import diagnose
from spool.layout import Spool
from spool.locks import lock
from spool.settings import Settings
from tests.services import wait_for
from tests.spool.processes import child
from tests.spool.samples import claim_job, report


def findings(spool: Spool, **settings: object) -> list[Finding]:
    return diagnose(spool.root, Settings.model_validate(settings), gpus=False)


def faults(spool: Spool, **settings: object) -> list[Finding]:
    return [finding for finding in findings(spool, **settings) if finding.is_fault]


def notes(spool: Spool) -> list[Finding]:
    return [finding for finding in findings(spool) if finding.level is Level.NOTE]


def the_fault(spool: Spool, **settings: object) -> Finding:
    (finding,) = faults(spool, **settings)
    return finding


def _hold(spool: Spool, name: str) -> None:
    held = lock(spool, name)
    held.acquire()
    (spool.root.parent / f"{name}-is-held").touch()
    time.sleep(60)  # or until it is killed
    held.release()


@contextmanager
def held(spool: Spool, name: str) -> Iterator[None]:
    """While another process holds a lock."""
    with child(_hold, spool, name):
        wait_for((spool.root.parent / f"{name}-is-held").exists, what=f"{name} to be held")
        yield


def claimed(spool: Spool) -> Claim:
    """A job in a slot that is free again."""
    slot = Slot.acquire(spool, "gpu0")
    claim = claim_job(slot)
    slot.release()
    return claim


def says(spool: Spool, slot: str, state: SlotState, *, seconds_ago: float = 0) -> None:
    instant = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    said = dataclasses.replace(report(slot), state=state, heartbeat=instant.isoformat())
    publish_report(spool, said)

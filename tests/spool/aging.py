"""Spools with things of any age in them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from spool.acceptance import admit, admit_keyed
from spool.claims import Slot
from spool.finishing import finish
from spool.layout import Spool
from spool.live import LiveWriter
from spool.records import Record
from spool.settings import KeepSettings
from tests.spool.samples import completed, draw, publish_pictures

DAY = 86_400.0
NOTHING = KeepSettings(records=0.0, gallery=0.0, outgoing=0.0, rejected=0.0, live=0.0, keys=0.0)
EVERYTHING = KeepSettings(
    records=None, gallery=None, outgoing=None, rejected=None, live=None, keys=None
)


def later(days: float = 2.0) -> float:
    return time.time() + days * DAY


def files(spool: Spool) -> set[str]:
    """What lies in the spool, without its locks, its marker and its empty directories."""
    return {
        path.relative_to(spool.root).as_posix()
        for path in spool.root.rglob("*")
        if not path.is_dir() and path.parent != spool.locks and path.name != "spool.json"
    }


def finished_job(
    spool: Spool, *, drop_name: str | None = "set/a.json", key: str | None = "key"
) -> Record:
    """A job that came through the drop box and was rendered."""
    ticket = draw(spool, drop_name=drop_name, key=key, count=2)
    if key:
        assert admit_keyed(spool, ticket)
    else:
        admit(spool, ticket)
    slot = Slot.acquire(spool, "gpu0")
    try:
        claim = slot.claim(ticket.name)
        assert claim is not None
        with LiveWriter(spool, ticket.job_id, 1) as live:
            live.progress(20, 20, b"jpeg")
        publish_pictures(spool, ticket)
        return finish(claim.start(), completed(ticket))
    finally:
        slot.release()


def age(*paths: Path, days: float) -> None:
    for path in paths:
        instant = time.time() - days * DAY
        os.utime(path, (instant, instant), follow_symlinks=False)


def refused(spool: Spool, name: str, *, days: float, content: bytes = b"junk") -> Path:
    target = spool.rejected / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    report = target.with_name(f"{target.name}.problem.json")
    report.write_text("{}")
    age(report, days=days)
    return target

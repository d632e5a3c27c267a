"""A disk that is full, or broken, while jobs are rendered."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from daemon import backlog, heartbeat, loop
from daemon.families import ModelSpec
from spool import durable
from spool.catalogue import SlotState, read_reports
from spool.exits import Exit
from spool.layout import Spool
from spool.settings import DiskSettings, Settings
from spool.states import Status, find, scan
from tests.daemon.slots import RunningSlot, record_of, running_slot, submit
from tests.services import wait_for

NO_FLOOR = Settings(disk=DiskSettings(floor_bytes=0, floor_inodes=0))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that looks again soon."""
    monkeypatch.setattr(backlog, "RECONCILE_SECONDS", 0.2)
    for module in (heartbeat, loop):
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.1)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def _raising(number: int) -> Any:
    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    "where",
    ["daemon.publishing.publish_picture", "daemon.publishing.finish", "daemon.loop.LiveWriter"],
)
def test_a_job_that_meets_a_full_disk_waits_uncounted_and_is_completed_later(
    spool: Spool, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    with running_slot(spool, tiny_spec) as running:
        with monkeypatch.context() as patch:
            patch.setattr(where, _raising(28))
            job_id = submit(spool)
            wait_for(lambda: _is_settled(running, job_id), what="the slot to pause")
            assert not spool.record(job_id).exists()
        assert record_of(spool, job_id).status is Status.COMPLETED
        assert running.error is None


@pytest.mark.parametrize("number", [5, 30], ids=["EIO", "EROFS"])
@pytest.mark.parametrize("where", ["daemon.publishing.publish_picture", "daemon.loop.LiveWriter"])
def test_a_broken_disk_ends_the_loop_and_loses_no_job(
    spool: Spool, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, where: str, number: int
) -> None:
    monkeypatch.setattr(where, _raising(number))
    with running_slot(spool, tiny_spec) as running:
        job_id = submit(spool)
        wait_for(lambda: running.error, what="the loop's end")
    assert isinstance(running.error, OSError)
    assert running.error.errno == number
    found = find(spool, job_id)
    assert found is not None
    assert found.name.starts == 0
    assert not spool.record(job_id).exists()


def test_a_read_only_spool_ends_genzod_with_a_line_and_a_status_of_its_own(
    spool: Spool, tmp_path: Path
) -> None:
    seen = tmp_path / "read-only"
    seen.mkdir()
    mount = ["mount", "--bind", "-o", "ro", str(spool.root), str(seen)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "daemon", "--spool", str(seen)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        subprocess.run(["umount", str(seen)], check=True)
    assert ended.returncode == Exit.IO_ERROR
    assert "Read-only file system" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_below_the_floor_nothing_is_started_until_there_is_room(
    small_disk: Path, tiny_spec: ModelSpec
) -> None:
    spool = Spool.create(small_disk / "spool")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(128 << 10))
    floor = Settings(disk=DiskSettings(floor_bytes=160 << 10, floor_inodes=0))
    with running_slot(spool, tiny_spec, settings=floor):
        job_id = submit(spool)
        wait_for(
            lambda: [report.state for report in read_reports(spool)] == [SlotState.FULL],
            what="the slot to say that the disk is full",
        )
        assert [name.job_id for name in scan(spool.queued)] == [job_id]
        filler.unlink()
        assert record_of(spool, job_id).status is Status.COMPLETED


def test_a_disk_that_is_full_at_any_write_of_a_job_loses_and_doubles_nothing(
    small_disk: Path, tiny_spec: ModelSpec
) -> None:
    """Each round leaves a page more, so that another write is the first to fail."""
    spool = Spool.create(small_disk / "spool")
    filler = small_disk / "filler"
    waited = []
    with running_slot(spool, tiny_spec, settings=NO_FLOOR) as running:
        for pages in range(14):
            job_id = submit(spool, drop_name="a.json")
            _fill(filler, pages)
            running.loop._backlog.look_again()
            wait_for(partial(_is_settled, running, job_id), what=f"round {pages}")
            waited.append(not spool.record(job_id).exists())
            filler.unlink()
            record = record_of(spool, job_id)
            assert record.status is Status.COMPLETED
            wait_for(partial(_has_ended, spool, job_id), what="the ticket's end")
            [image] = record.images
            pictures = [path for path in spool.gallery.rglob("*.png") if path.is_file()]
            assert [path.name for path in pictures] == [image.filename]
            assert sorted(path.name for path in (spool.outgoing / "a" / job_id).iterdir()) == [
                image.filename,
                "SHA256SUMS",
                "result.json",
            ]
            _empty(spool)
        assert running.error is None
    assert {True, False} == set(waited)


def _fill(filler: Path, pages: int) -> None:
    """Leave `pages` pages of 4 KiB free."""
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        durable.write_all(file.fileno(), bytes(1 << 20))
    os.truncate(filler, max(0, filler.stat().st_size - pages * 4096))


def _is_settled(running: RunningSlot, job_id: str) -> bool:
    found = find(running.spool, job_id)
    waits = found is not None and found.status is Status.QUEUED and found.name.starts == 0
    is_full = running.loop._backlog.is_full
    return running.spool.record(job_id).exists() or (waits and is_full)


def _has_ended(spool: Spool, job_id: str) -> bool:
    return find(spool, job_id) is None


def _empty(spool: Spool) -> None:
    for tree in (spool.gallery, spool.outgoing, spool.done, spool.live):
        for path in tree.rglob("*"):
            if path.is_file():
                path.unlink()

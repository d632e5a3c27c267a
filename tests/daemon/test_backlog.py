"""What a slot claims next: what is due, what it serves, and from which spool."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon import backlog, heartbeat, loop
from daemon.backlog import Backlog
from daemon.families import ModelSpec
from spool import ids
from spool.claims import Slot
from spool.layout import Spool
from spool.presence import SpoolGone
from spool.records import publish_record
from spool.settings import DiskSettings, Settings
from spool.states import Status, scan
from tests.daemon.slots import record_of, running_slot, submit
from tests.services import log_of, running_daemon, wait_for
from tests.spool.samples import completed, publish_pictures, queue_job


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def _backlog(spool: Spool) -> Backlog:
    slot = Slot.acquire(spool, "0", timeout_seconds=0)
    return Backlog(slot, DiskSettings(), lambda _: True)


def test_a_job_is_not_started_before_its_instant_and_then_at_once(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    with running_slot(spool, tiny_spec):
        # To the second, since a record counts milliseconds.
        due = (datetime.now(UTC) + timedelta(seconds=2.5)).replace(microsecond=0)
        later = submit(spool, not_before=due.isoformat())
        now = submit(spool)
        record_of(spool, now)
        assert [name.job_id for name in scan(spool.queued)] == [later]
        record = record_of(spool, later)
    assert record.started_at is not None
    started = datetime.fromisoformat(record.started_at)
    assert timedelta(0) <= started - due < timedelta(seconds=1)


def test_jobs_that_wait_are_read_once_and_not_at_each_look(spool: Spool) -> None:
    far = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    waiting = [queue_job(spool, not_before=far) for _ in range(3)]
    due = queue_job(spool)
    looked = _backlog(spool)
    claim = looked.claim_next()
    assert claim is not None
    assert claim.job_id == due.job_id
    for ticket in waiting:
        (spool.queued / str(ticket.name)).write_text("not read again")
    looked.look_again()
    assert looked.claim_next() is None
    assert len(scan(spool.queued)) == 3
    assert 86_000 < looked.seconds_until_due < 86_400


def test_a_job_that_has_a_record_is_finished_and_not_run_again(spool: Spool) -> None:
    """As a crash of the host, or a full disk behind the record, may leave it."""
    ticket = queue_job(spool, drop_name="a.json")
    publish_pictures(spool, ticket)
    publish_record(spool, completed(ticket))
    assert _backlog(spool).claim_next() is None
    assert (spool.outgoing / "a" / ticket.job_id / "result.json").exists()
    assert list(spool.work.rglob(f"*{ticket.job_id}.0.json")) == []


def test_on_a_full_disk_a_job_that_has_a_record_waits_in_the_queue(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = queue_job(spool, drop_name="a.json")
    publish_pictures(spool, ticket)
    publish_record(spool, completed(ticket))
    looked = _backlog(spool)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("spool.finishing.deliver", full)
        assert looked.claim_next() is None
    assert [name.job_id for name in scan(spool.queued)] == [ticket.job_id]
    monkeypatch.setattr(looked, "_full_until", 0.0)
    looked.look_again()
    assert looked.claim_next() is None
    assert scan(spool.queued) == []
    assert (spool.outgoing / "a" / ticket.job_id / "result.json").exists()


@pytest.mark.parametrize("change", ["removed", "replaced"])
def test_a_loop_notices_that_its_spool_is_gone(
    spool: Spool, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0.1)
    with running_slot(spool, tiny_spec) as running:
        spool.root.rename(spool.root.with_name("elsewhere"))
        if change == "replaced":
            Spool.create(spool.root)
        wait_for(lambda: running.error, what="the loop's end")
    assert isinstance(running.error, SpoolGone)


def test_genzod_goes_on_when_its_spool_comes_back(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    elsewhere = tmp_path / "elsewhere"
    with running_daemon(spool) as process:
        spool.root.rename(elsewhere)
        wait_for(lambda: "waiting for it" in log_of(process), what="the log to say so")
        elsewhere.rename(spool.root)
        first = submit(spool)
        assert record_of(spool, first).status is Status.COMPLETED

        spool.root.rename(elsewhere)
        new = Spool.create(spool.root)
        second = submit(new, resolved=False)
        assert record_of(new, second).status is Status.COMPLETED
        assert process.poll() is None


def test_a_slot_without_events_polls(
    spool: Spool, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spool.watch.POLL_SECONDS", 0.1)
    monkeypatch.setattr(backlog, "RECONCILE_SECONDS", 600.0)
    for module in (heartbeat, loop):
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 600.0)
    with running_slot(spool, tiny_spec, settings=Settings(watch="poll")):
        time.sleep(0.5)
        record = record_of(spool, submit(spool))
    assert record.status is Status.COMPLETED
    assert ids.is_job_id(record.job_id)

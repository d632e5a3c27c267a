from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest

from spool.acceptance import admit
from spool.claims import Claim, Slot
from spool.control import Verb, command
from spool.finishing import finish, settle
from spool.gallery import PictureName
from spool.layout import CANCEL_SLOT, Spool
from spool.live import LiveWriter, read_events
from spool.outcomes import Outcome, record_of
from spool.outgoing import outgoing_name
from spool.problems import Problem
from spool.records import Record, publish_record, read_record
from spool.recovery import recover
from spool.states import Status, find, job_ids_with_tickets, scan
from tests.spool.crashes import killed_at_each_effect
from tests.spool.processes import as_root, child
from tests.spool.samples import (
    PNG,
    claim_job,
    completed,
    draw,
    hold_job,
    publish_pictures,
    queue_job,
)


def _final_lines(spool: Spool, job_id: str) -> list[dict[str, Any]]:
    return [event.data for event in read_events(spool.events(job_id)) if event.is_final]


def _started(spool: Spool, **fields: Any) -> Claim:
    """A job in the middle of its rendering, its pictures published."""
    claim = claim_job(Slot.acquire(spool, "gpu0"), **fields).start()
    with LiveWriter(spool, claim.job_id, 1) as live:
        live.progress(20, 20, b"jpeg")
    publish_pictures(spool, claim.ticket)
    return claim


def _assert_delivered(spool: Spool, record: Record) -> None:
    assert record.drop_name is not None
    folder = spool.outgoing / outgoing_name(record.drop_name) / record.job_id
    pictures = [image.filename for image in record.images]
    assert {path.name for path in folder.iterdir()} == {*pictures, "SHA256SUMS", "result.json"}
    assert Record.decode((folder / "result.json").read_bytes()) == record
    digest = hashlib.sha256(PNG).hexdigest()
    sums = "".join(f"{digest}  {name}\n" for name in pictures)
    assert (folder / "SHA256SUMS").read_text() == sums
    assert all((folder / name).read_bytes() == PNG for name in pictures)


def test_a_finished_job_has_a_record_and_a_final_line_and_no_ticket(spool: Spool) -> None:
    claim = _started(spool)
    record = finish(claim, completed(claim.ticket))
    assert read_record(spool, claim.job_id) == record
    assert find(spool, claim.job_id) is None
    images = [f"{claim.job_id}-0.png"]
    assert _final_lines(spool, claim.job_id) == [
        {"status": "completed", "starts": 1, "step": 20, "total_steps": 20, "images": images}
    ]
    assert list(spool.outgoing.iterdir()) == []


def test_a_failed_job_tells_its_error(spool: Spool) -> None:
    claim = _started(spool)
    error = {"title": "Out of memory", "detail": "no more"}
    finish(claim, record_of(claim.ticket, Outcome(Status.FAILED, 1, error=error)))
    [final] = _final_lines(spool, claim.job_id)
    assert final["error"] == error
    assert final["images"] == []


def test_the_result_of_a_dropped_job_is_laid_out_whole(spool: Spool) -> None:
    claim = _started(spool, drop_name="batch 1/hello.json", count=3)
    record = finish(claim, completed(claim.ticket))
    _assert_delivered(spool, record)
    folder = spool.outgoing / "batch 1" / "hello" / claim.job_id
    picture = PictureName(claim.job_id, 0)
    assert (folder / str(picture)).samefile(picture.picture(spool))


@as_root
def test_a_result_is_copied_where_outgoing_is_another_disk(spool: Spool, small_disk: Path) -> None:
    spool.outgoing.rmdir()
    spool.outgoing.symlink_to(small_disk)
    claim = _started(spool, drop_name="hello.json", count=2)
    _assert_delivered(spool, finish(claim, completed(claim.ticket)))


def test_the_result_of_a_dropped_job_that_was_cancelled_is_its_record(spool: Spool) -> None:
    ticket = queue_job(spool, drop_name="hello.json")
    command(spool, Verb.CANCEL, ticket.job_id)
    folder = spool.outgoing / "hello" / ticket.job_id
    assert [path.name for path in folder.iterdir()] == ["result.json"]
    assert json.loads((folder / "result.json").read_bytes())["status"] == "cancelled"


@pytest.mark.parametrize(
    ("drop", "folder"),
    [
        ("hello.json", "hello"),
        ("a/b.JSON", "a/b"),
        ("noend", "noend"),
        ("two.dots.json", "two.dots"),
        ("picture.txt", "picture.txt"),
    ],
)
def test_the_folder_of_a_result_is_the_drops_name_without_its_ending(
    drop: str, folder: str
) -> None:
    assert outgoing_name(drop).as_posix() == folder


def test_a_record_that_exists_wins_over_a_later_end(spool: Spool) -> None:
    claim = _started(spool)
    cancelled = record_of(claim.ticket, Outcome(Status.CANCELLED, 1))
    publish_record(spool, cancelled)
    assert finish(claim, completed(claim.ticket)) == cancelled
    assert read_record(spool, claim.job_id) == cancelled
    assert [line["status"] for line in _final_lines(spool, claim.job_id)] == ["cancelled"]
    assert find(spool, claim.job_id) is None


def test_to_settle_twice_changes_nothing(spool: Spool) -> None:
    claim = _started(spool, drop_name="hello.json")
    record = finish(claim, completed(claim.ticket))
    before = {path: path.stat().st_mtime_ns for path in spool.root.rglob("*") if path.is_file()}
    settle(spool, claim.path, record)
    after = {path: path.stat().st_mtime_ns for path in spool.root.rglob("*") if path.is_file()}
    assert after == before


def test_a_finished_job_leaves_no_request_to_cancel(spool: Spool) -> None:
    claim = _started(spool)
    assert command(spool, Verb.CANCEL, claim.job_id).status is Status.PROCESSING
    assert spool.cancel_request(claim.job_id).exists()
    finish(claim, completed(claim.ticket))
    assert not spool.cancel_request(claim.job_id).exists()


def test_a_kill_at_any_line_of_finishing_is_completed_by_the_recovery(tmp_path: Path) -> None:
    numbers = itertools.count()

    def rendered() -> Claim:
        spool = Spool.create(tmp_path / str(next(numbers)))
        slot = Slot.acquire(spool, "gpu0")
        claim = claim_job(slot, drop_name="a/hello.json", count=2).start()
        publish_pictures(spool, claim.ticket)
        slot.release()
        return claim

    ends = []
    for claim in killed_at_each_effect(
        rendered, lambda claim: finish(claim, completed(claim.ticket))
    ):
        spool = claim.spool
        slot = Slot.acquire(spool, "gpu0", timeout_seconds=5)
        finished = read_record(spool, claim.job_id)
        recover(slot, starting=True)
        if finished is None:
            assert [name.starts for name in scan(spool.queued)] == [1]
            again = slot.claim(scan(spool.queued)[0])
            assert again is not None
            finish(again, completed(again.ticket))
        record = read_record(spool, claim.job_id)
        assert record is not None
        assert finished in (None, record)
        assert record.status is Status.COMPLETED
        assert len(_final_lines(spool, claim.job_id)) == 1
        assert job_ids_with_tickets(spool) == set()
        _assert_delivered(spool, record)
        slot.release()
        ends.append(finished is None)
    assert ends == sorted(ends, reverse=True)
    assert {True, False} == set(ends)
    assert len(ends) > 15


@pytest.mark.parametrize("state", [Status.QUEUED, Status.HELD])
def test_a_kill_at_any_line_of_a_cancellation_leaves_the_job_waiting_or_cancels_it(
    tmp_path: Path, state: Status
) -> None:
    numbers = itertools.count()

    def waiting() -> tuple[Spool, str]:
        spool = Spool.create(tmp_path / str(next(numbers)))
        prepare = queue_job if state is Status.QUEUED else hold_job
        return spool, prepare(spool, drop_name="hello.json").job_id

    ends = []
    for spool, job_id in killed_at_each_effect(
        waiting, lambda scene: command(scene[0], Verb.CANCEL, scene[1])
    ):
        recover(Slot.acquire(spool, "gpu0"), starting=True)
        record = read_record(spool, job_id)
        if record is None:
            found = find(spool, job_id)
            assert found is not None
            assert found.status is state
        else:
            assert record.status is Status.CANCELLED
            assert job_ids_with_tickets(spool) == set()
            assert len(_final_lines(spool, job_id)) == 1
            assert (spool.outgoing / "hello" / job_id / "result.json").exists()
        ends.append(record is None)
    assert ends == sorted(ends, reverse=True)
    assert {True, False} == set(ends)


@pytest.mark.parametrize("prepare", [queue_job, hold_job])
def test_a_waiting_job_is_cancelled_at_once(spool: Spool, prepare: Any) -> None:
    ticket = prepare(spool)
    assert command(spool, Verb.CANCEL, ticket.job_id).status is Status.CANCELLED
    record = read_record(spool, ticket.job_id)
    assert record is not None
    assert record.status is Status.CANCELLED
    assert find(spool, ticket.job_id) is None
    assert not spool.cancel_request(ticket.job_id).exists()


def test_a_processing_job_is_asked_to_stop(spool: Spool) -> None:
    claim = _started(spool)
    assert command(spool, Verb.CANCEL, claim.job_id).status is Status.PROCESSING
    assert spool.cancel_request(claim.job_id).exists()
    assert claim.path.exists()
    assert read_record(spool, claim.job_id) is None


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_a_finished_job_keeps_its_end_when_it_is_cancelled(spool: Spool, status: Status) -> None:
    claim = _started(spool)
    finish(claim, record_of(claim.ticket, Outcome(status, 1)))
    assert command(spool, Verb.CANCEL, claim.job_id).status is status
    assert not spool.cancel_request(claim.job_id).exists()


@pytest.mark.parametrize(
    "job_id", ["20261123T121728417-7f3a9c", "", "x", "../../etc/passwd", "/etc/passwd", "a" * 5000]
)
def test_an_unknown_job_cannot_be_cancelled(spool: Spool, job_id: str) -> None:
    before = set(spool.root.rglob("*"))
    with pytest.raises(Problem, match="there is no job"):
        command(spool, Verb.CANCEL, job_id)
    assert {path for path in spool.root.rglob("*") if path.suffix != ".lock"} == before


def test_a_request_to_cancel_that_comes_as_the_job_ends_is_not_left_behind(spool: Spool) -> None:
    """The record is there, but the ticket not yet gone."""
    claim = _started(spool)
    publish_record(spool, completed(claim.ticket))
    assert command(spool, Verb.CANCEL, claim.job_id).status is Status.COMPLETED
    assert not spool.cancel_request(claim.job_id).exists()


def test_a_cancellation_whose_process_died_is_completed_by_the_next_one(spool: Spool) -> None:
    ticket = queue_job(spool)
    (spool.queued / str(ticket.name)).rename(spool.slot_of(CANCEL_SLOT) / str(ticket.name))
    assert command(spool, Verb.CANCEL, ticket.job_id).status is Status.CANCELLED
    assert find(spool, ticket.job_id) is None


def test_a_cancellation_whose_process_died_is_completed_by_a_daemon_and_never_requeued(
    spool: Spool,
) -> None:
    ticket = queue_job(spool)
    (spool.queued / str(ticket.name)).rename(spool.slot_of(CANCEL_SLOT) / str(ticket.name))
    [line] = recover(Slot.acquire(spool, "gpu0"), starting=False)
    assert line == f"{ticket.job_id}: cancelled, completed after a crash"
    assert scan(spool.queued) == []
    record = read_record(spool, ticket.job_id)
    assert record is not None
    assert record.status is Status.CANCELLED


def _cancel_all(root: str, job_ids: list[str], answers: Any) -> None:
    spool = Spool.open(Path(root))
    answers.send([command(spool, Verb.CANCEL, job_id).status for job_id in job_ids])


def test_a_cancellation_and_a_claim_never_both_get_a_job(spool: Spool) -> None:
    names = [queue_job(spool).name for _ in range(80)]
    slot = Slot.acquire(spool, "gpu0")
    answers, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    claimed = set()
    job_ids = [name.job_id for name in names]
    with child(_cancel_all, str(spool.root), job_ids, sender):
        # The daemon comes from the other end, so that both meet in the middle.
        for name in reversed(names):
            if slot.claim(name) is not None:
                claimed.add(name.job_id)
            time.sleep(0.001)
        statuses = dict(zip(job_ids, answers.recv(), strict=True))
    cancelled = {job_id for job_id, status in statuses.items() if status is Status.CANCELLED}
    assert claimed
    assert cancelled
    assert claimed.isdisjoint(cancelled)
    assert claimed | cancelled == set(job_ids)
    for job_id in job_ids:
        assert (read_record(spool, job_id) is not None) == (job_id in cancelled)
        assert spool.cancel_request(job_id).exists() == (job_id in claimed)


def _toss(root: str, job_id: str) -> None:
    """A daemon that claims its job and puts it back, without end."""
    slot = Slot.acquire(Spool.open(Path(root)), "gpu0")
    while True:
        for name in scan(slot.spool.queued):
            claim = slot.claim(name) if name.job_id == job_id else None
            if claim is not None:
                claim.put_back(0)


def test_a_job_that_a_daemon_tosses_about_is_cancelled_or_asked_to_stop(spool: Spool) -> None:
    statuses = []
    for _ in range(30):
        ticket = queue_job(spool)
        with child(_toss, str(spool.root), ticket.job_id):
            deadline = time.monotonic() + 10
            while not spool.lock("gpu0").exists() or not spool.slot_of("gpu0").exists():
                assert time.monotonic() < deadline
            status = command(spool, Verb.CANCEL, ticket.job_id).status
        statuses.append(status)
        record = read_record(spool, ticket.job_id)
        if status is Status.CANCELLED:
            assert record is not None
            assert find(spool, ticket.job_id) is None
        elif status is Status.PROCESSING:
            assert spool.cancel_request(ticket.job_id).exists()
            recover(slot := Slot.acquire(spool, "gpu0", 5), starting=True)
            slot.release()
            assert command(spool, Verb.CANCEL, ticket.job_id).status is Status.CANCELLED
    assert set(statuses) <= {Status.CANCELLED, Status.PROCESSING}


def test_an_unresolved_job_is_cancelled_like_any_other(spool: Spool) -> None:
    ticket = dataclasses.replace(draw(spool), job=None)
    admit(spool, ticket)
    assert command(spool, Verb.CANCEL, ticket.job_id).status is Status.CANCELLED

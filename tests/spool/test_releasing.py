from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from spool import durable
from spool.claims import Slot
from spool.control import Verb, command
from spool.finishing import finish
from spool.gallery import PictureName, publish_picture
from spool.layout import Spool
from spool.problems import NotASpool, SpoolError
from spool.records import read_record
from spool.recovery import recover
from spool.states import Status, find, scan
from spool.views import job_view
from tests.spool import invariants
from tests.spool.crashes import killed_at_each_effect
from tests.spool.processes import genzo
from tests.spool.samples import (
    PNG,
    claim_job,
    completed,
    hold_job,
    publish_pictures,
    queue_job,
)


def test_a_released_job_waits_again_with_no_start_counted(spool: Spool) -> None:
    ticket = hold_job(spool)
    assert genzo("release", "--spool", spool.root, ticket.job_id).returncode == 0
    view = job_view(spool, ticket.job_id)
    assert view is not None
    assert (view.status, view.starts) == (Status.QUEUED, 0)


def test_only_a_held_job_can_be_released(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "a"))
    finish(claim, completed(claim.ticket))
    ended = genzo("release", "--spool", spool.root, claim.job_id)
    assert ended.returncode == 1
    assert "is completed" in ended.stderr


def test_a_death_after_the_gpu_is_done_is_not_charged_to_the_job(spool: Spool) -> None:
    for _ in range(3):
        slot = Slot.acquire(spool, "a", timeout_seconds=0)
        claim = claim_job(slot) if not scan(spool.queued) else slot.claim(scan(spool.queued)[0])
        assert claim is not None
        claim.start().uncount()
        slot.release()
        slot = Slot.acquire(spool, "b", timeout_seconds=0)
        recover(slot, starting=True)
        slot.release()
    assert [name.starts for name in scan(spool.queued)] == [0]
    assert not scan(spool.held)


def test_what_cannot_be_read_is_not_reported_as_cancelled(spool: Spool) -> None:
    ticket = queue_job(spool)
    path = spool.queued / str(ticket.name)
    path.write_text("garbage")
    with pytest.raises(SpoolError, match="cannot be read"):
        command(spool, Verb.CANCEL, ticket.job_id)
    assert [name.job_id for name in scan(spool.held)] == [ticket.job_id]


def test_a_directory_of_other_things_is_not_made_a_spool(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir(mode=0o755)
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(NotASpool, match=r"thesis\.txt"):
        Spool.create(tmp_path)
    assert (tmp_path / "incoming").stat().st_mode & 0o7777 == 0o755


def test_a_release_that_is_killed_leaves_the_job_held_with_its_reason(tmp_path: Path) -> None:
    numbers = itertools.count()

    def held() -> tuple[Spool, str]:
        spool = Spool.create(tmp_path / str(next(numbers)))
        slot = Slot.acquire(spool, "gpu0")
        job_id = claim_job(slot).start().start().job_id
        recover(slot, starting=True)
        slot.release()
        return spool, job_id

    def released(scene: tuple[Spool, str]) -> None:
        command(scene[0], Verb.RELEASE, scene[1])

    for spool, job_id in killed_at_each_effect(held, released):
        view = job_view(spool, job_id)
        assert view is not None
        assert view.status is Status.HELD
        assert view.error is not None
        assert "died 2 times" in view.error["detail"]


def test_the_line_of_a_release_stands_before_those_of_the_daemon_that_takes_the_job(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = hold_job(spool)
    slot = Slot.acquire(spool, "gpu0")

    def move_and_be_overtaken(source: Path, target: Path) -> bool:
        monkeypatch.undo()
        assert durable.move(source, target)
        claim = slot.claim(ticket.name)
        assert claim is not None
        publish_pictures(spool, ticket)
        finish(claim, completed(ticket))
        return True

    monkeypatch.setattr(durable, "move", move_and_be_overtaken)
    assert command(spool, Verb.RELEASE, ticket.job_id)
    assert find(spool, ticket.job_id) is None
    invariants.check(spool, [ticket.job_id])


def test_a_released_job_is_not_cancelled_by_an_older_request(spool: Spool) -> None:
    ticket = hold_job(spool)
    spool.cancel_request(ticket.job_id).touch()
    assert command(spool, Verb.RELEASE, ticket.job_id)
    assert not spool.cancel_request(ticket.job_id).exists()


def test_a_job_that_was_asked_to_stop_is_cancelled_when_its_daemon_dies_not_held(
    spool: Spool,
) -> None:
    slot = Slot.acquire(spool, "gpu0")
    claim = claim_job(slot, count=2).start().start()
    publish_picture(spool, PictureName(claim.job_id, 0), PNG, b"thumbnail")
    assert command(spool, Verb.CANCEL, claim.job_id).status is Status.PROCESSING
    recover(slot, starting=True)
    record = read_record(spool, claim.job_id)
    assert record is not None
    assert record.status is Status.CANCELLED
    assert not spool.cancel_request(claim.job_id).exists()
    invariants.check(spool, [claim.job_id])


def test_a_cancelled_record_names_the_pictures_of_a_start_that_died(spool: Spool) -> None:
    ticket = queue_job(spool, count=2, drop_name="hello.json")
    publish_picture(spool, PictureName(ticket.job_id, 0), PNG, b"thumbnail")
    assert command(spool, Verb.CANCEL, ticket.job_id).status is Status.CANCELLED
    record = read_record(spool, ticket.job_id)
    assert record is not None
    assert [image.filename for image in record.images] == [f"{ticket.job_id}-0.png"]
    assert record.images[0].seed == ticket.seed
    invariants.check(spool, [ticket.job_id])


def test_on_a_full_disk_a_recovery_leaves_what_it_cannot_finish_to_the_next(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = queue_job(spool, drop_name="a.json")
    (spool.queued / str(ticket.name)).rename(spool.slot_of("cancel") / str(ticket.name))
    slot = Slot.acquire(spool, "a", timeout_seconds=0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("spool.finishing.deliver", full)
        assert "waits for room" in recover(slot, starting=True)[-1]
    recover(slot, starting=False)
    assert find(spool, ticket.job_id) is None
    invariants.check(spool, [ticket.job_id])

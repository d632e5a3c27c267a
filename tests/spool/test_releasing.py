from __future__ import annotations

from pathlib import Path

import pytest

from spool.claims import Slot
from spool.control import Verb, command
from spool.finishing import finish
from spool.layout import Spool
from spool.problems import NotASpool, SpoolError
from spool.recovery import recover
from spool.states import Status, scan
from spool.views import job_view
from tests.spool.processes import genzo
from tests.spool.samples import claim_job, completed, hold_job, queue_job


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

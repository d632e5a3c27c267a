"""A spool that the first daemon left when it was killed, taken over by the present one.

first_spool.tar.xz was written by the code of commit 592f27b with the embedded model.
`finished.json` was rendered; at step 3 of `in-the-middle.json` the daemon was killed, with
`waiting.json` in the queue; `just-dropped.json` came into incoming/ when nobody was there.
"""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from spool.layout import Spool
from spool.states import Status
from spool.views import job_view
from tests.services import running_daemon, wait_for

ARCHIVE = Path(__file__).with_name("first_spool.tar.xz")
FINISHED, IN_THE_MIDDLE, WAITING = (
    "20261124T003028926-399b51",
    "20261124T003125254-c30a2d",
    "20261124T003125687-ce2498",
)
JUST_DROPPED = {
    "prompt": "a red circle on a white background",
    "steps": 2,
    "width": 64,
    "height": 64,
    "seed": 10,
}
DROPPED_AT = 1.8e9
"""The time of each dropped file."""


@pytest.fixture
def first(tmp_path: Path) -> Spool:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "spool", filter="fully_trusted")
    return Spool.open(tmp_path / "spool")


def records(spool: Spool) -> dict[str, str]:
    """Status of each recorded job."""
    found = [json.loads(path.read_bytes()) for path in spool.done.glob("*/*/*.json")]
    return {record["job_id"]: record["status"] for record in found}


def test_its_jobs_can_be_looked_at_before_a_daemon_has_come(first: Spool) -> None:
    views = [job_view(first, job_id) for job_id in (FINISHED, IN_THE_MIDDLE, WAITING)]
    assert [view and view.status for view in views] == [
        Status.COMPLETED,
        Status.PROCESSING,
        Status.QUEUED,
    ]


def test_its_jobs_are_completed_once_each_and_its_drops_are_known(first: Spool) -> None:
    kept = {path: path.read_bytes() for path in first.gallery.rglob("*.png")}
    with running_daemon(first):
        wait_for(lambda: len(records(first)) == 4, seconds=300, what="the jobs that were left")
        (new,) = records(first).keys() - {FINISHED, IN_THE_MIDDLE, WAITING}
        # What was taken by the first one already runs no second time.
        again = first.tmp / "again.json"
        again.write_text(json.dumps({**JUST_DROPPED, "seed": 9}))
        os.utime(again, (DROPPED_AT, DROPPED_AT))
        again.rename(first.incoming / "waiting.json")
        wait_for(lambda: not list(first.incoming.iterdir()), what="the drop to be acknowledged")
    assert set(records(first).values()) == {"completed"}
    assert len(records(first)) == 4
    starts = {
        job_id: json.loads(first.record(job_id).read_bytes())["starts"] for job_id in records(first)
    }
    assert starts == {FINISHED: 1, IN_THE_MIDDLE: 2, WAITING: 1, new: 1}
    pictures = {path.name for path in first.gallery.rglob("*.png")}
    assert pictures == {f"{job_id}-0.png" for job_id in starts}
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert not list(first.queued.iterdir())

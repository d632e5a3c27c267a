"""`genzo doctor` on spools that are broken in one way each: slots, jobs and what is kept."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from spool import ids
from spool.acceptance import admit_keyed
from spool.catalogue import SlotState
from spool.checks.findings import Finding, Level
from spool.control import Verb, command
from spool.diagnosis import CHECKS
from spool.gallery import PictureName
from spool.layout import DIRECTORIES, Spool
from spool.live import LiveWriter
from spool.settings import DiskSettings, KeepSettings
from spool.states import Status, TicketName
from tests.spool.aging import age, finished_job, refused
from tests.spool.diagnoses import claimed, faults, findings, held, notes, says, the_fault
from tests.spool.processes import NOBODY, as_root
from tests.spool.samples import draw, hold_job, queue_job


def test_nothing_is_wrong_with_a_fresh_spool(spool: Spool) -> None:
    assert faults(spool) == []


def test_nothing_is_wrong_with_a_spool_at_work(spool: Spool) -> None:
    finished_job(spool)
    claimed(spool)
    queue_job(spool)
    hold_job(spool)
    says(spool, "gpu0", SlotState.RENDERING)
    with held(spool, "gpu0"), held(spool, "intake"):
        (spool.incoming / "a.json").write_text("{}")
        (spool.incoming / "folder").mkdir()
        assert faults(spool) == []
        assert {finding.level for finding in findings(spool)} == {Level.OK, Level.NOTE}


def test_a_check_changes_nothing_and_makes_no_lock(spool: Spool) -> None:
    queue_job(spool)
    says(spool, "gpu0", SlotState.IDLE)
    before = sorted((str(path), path.lstat().st_ctime_ns) for path in spool.root.rglob("*"))
    findings(spool)
    assert sorted((str(path), path.lstat().st_ctime_ns) for path in spool.root.rglob("*")) == before


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_missing_directory_is_said_and_stops_no_check(spool: Spool, name: str) -> None:
    shutil.rmtree(spool.root / name)
    first = faults(spool)[0]
    assert (first.where, first.what) == (str(spool.root / name), "is missing")
    assert not any("could not be looked at" in finding.what for finding in faults(spool))


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_file_in_the_place_of_a_directory_stops_no_check(spool: Spool, name: str) -> None:
    shutil.rmtree(spool.root / name)
    (spool.root / name).touch()
    assert any(finding.what == "is not a directory" for finding in faults(spool))
    assert not any("could not be looked at" in finding.what for finding in faults(spool))


def test_a_check_that_fails_is_a_finding(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[Finding]:
        raise RecursionError("too deep")

    monkeypatch.setitem(CHECKS, "marker", fails)
    assert the_fault(spool).what == "could not be looked at: RecursionError: too deep"


def test_a_disk_below_its_floor_is_said(spool: Spool) -> None:
    finding = the_fault(spool, disk=DiskSettings(floor_bytes=1 << 60, floor_inodes=0))
    assert "the floor is" in finding.what


def test_an_id_ahead_of_the_clock_is_said(spool: Spool) -> None:
    job_id = ids.at(time.time_ns() // 1_000_000 + 3_600_000)
    spool.events(job_id).touch()
    finding = the_fault(spool)
    assert finding.where == job_id
    assert "ahead of the clock" in finding.what


def test_a_slot_whose_daemon_died_is_said(spool: Spool) -> None:
    says(spool, "gpu0", SlotState.RENDERING, seconds_ago=30)
    spool.lock("gpu0").touch()
    finding = the_fault(spool)
    assert "says rendering but no process holds its lock: the daemon died" in finding.what
    assert finding.remedy == "start it again: genzod --slot gpu0"


def test_a_slot_that_hangs_is_said(spool: Spool) -> None:
    says(spool, "gpu0", SlotState.RENDERING, seconds_ago=61)
    with held(spool, "gpu0"):
        assert "hangs" in the_fault(spool).what


def test_a_slot_that_loads_its_model_does_not_hang(spool: Spool) -> None:
    says(spool, "gpu0", SlotState.STARTING, seconds_ago=300)
    with held(spool, "gpu0"):
        assert faults(spool) == []


def test_a_slot_that_is_stopped_is_only_noted(spool: Spool) -> None:
    says(spool, "gpu0", SlotState.STOPPED, seconds_ago=100_000)
    assert faults(spool) == []
    assert any("is stopped" in finding.what for finding in notes(spool))


def test_a_report_that_cannot_be_read_is_said(spool: Spool) -> None:
    (spool.slots / "gpu0.json").write_text("{")
    assert "cannot be read" in the_fault(spool).what


def test_jobs_that_wait_without_a_daemon_are_said(spool: Spool) -> None:
    queue_job(spool)
    queue_job(spool)
    finding = the_fault(spool)
    assert (finding.what, finding.remedy) == ("2 jobs wait and no daemon runs", "start genzod")


def test_an_orphan_is_said_and_a_ticket_of_a_living_daemon_is_not(spool: Spool) -> None:
    claim = claimed(spool)
    assert claim.job_id in the_fault(spool).what
    with held(spool, "gpu0"):
        assert faults(spool) == []


def test_jobs_for_a_model_that_no_slot_has_are_said(spool: Spool) -> None:
    says(spool, "gpu0", SlotState.IDLE)
    ticket = queue_job(spool)
    path = spool.queued / str(ticket.name)
    path.write_text(path.read_text().replace('"tiny"', '"vanished"'))
    with held(spool, "gpu0"):
        assert "want model 'vanished', which no slot has" in the_fault(spool).what


def test_a_job_with_two_tickets_is_said(spool: Spool) -> None:
    ticket = hold_job(spool)
    (spool.queued / str(ticket.name)).write_bytes(ticket.encode())
    with held(spool, "gpu0"):
        says(spool, "gpu0", SlotState.IDLE)
        finding = the_fault(spool)
    assert finding.where == ticket.job_id
    assert finding.remedy == f"rm {spool.queued / str(ticket.name)}"


def test_a_ticket_that_waits_though_its_job_has_a_record_is_said(spool: Spool) -> None:
    ticket = queue_job(spool)
    command(spool, Verb.CANCEL, ticket.job_id)
    (spool.held / str(ticket.name)).write_bytes(ticket.encode())
    assert the_fault(spool).what == "has a record, and still a ticket in held/"


@pytest.mark.parametrize("directory", ["queued", "held", "active/cancel"])
def test_what_is_no_ticket_is_said(spool: Spool, directory: str) -> None:
    (spool.work / directory / "a\x1b[31m\n.json").touch()
    finding = the_fault(spool)
    assert finding.what == "is no ticket by its name"
    assert finding.where == f"{spool.work}/{directory}/a\\x1b[31m\\n.json"


def test_a_ticket_that_cannot_be_read_is_said(spool: Spool) -> None:
    path = spool.held / str(TicketName(50, ids.at(0), 2))
    path.write_text('{"format": 1}')
    finding = the_fault(spool)
    assert finding.where == str(path)
    assert "KeyError" in finding.what


def test_a_held_job_is_noted_with_its_reason(spool: Spool) -> None:
    ticket = hold_job(spool)
    with LiveWriter(spool, ticket.job_id, 2) as live:
        live.append(Status.HELD, {"reason": "its daemon died twice\x07"})
    (finding,) = (finding for finding in notes(spool) if finding.where == ticket.job_id)
    assert finding.what == "is on hold: its daemon died twice\\x07"
    assert f"genzo release {ticket.job_id}" in finding.remedy


def test_an_acceptance_that_was_not_completed_is_said(spool: Spool) -> None:
    ticket = draw(spool, key="key")
    assert admit_keyed(spool, ticket)
    intent = spool.pending / f"{ticket.job_id}.json"
    (spool.queued / str(ticket.name)).rename(intent)
    assert faults(spool) == []
    age(intent, days=0.01)
    assert the_fault(spool).where == str(intent)


def test_a_job_that_does_not_stop_is_said(spool: Spool) -> None:
    claim = claimed(spool)
    with held(spool, "gpu0"):
        command(spool, Verb.CANCEL, claim.job_id)
        assert faults(spool) == []
        age(spool.cancel_request(claim.job_id), days=0.01)
        assert "was asked to stop" in the_fault(spool).what


def test_sidecars_without_a_job_are_noted(spool: Spool) -> None:
    ticket = draw(spool)
    assert not any("neither ticket nor record" in finding.what for finding in notes(spool))
    age(spool.events(ticket.job_id), days=0.5)
    assert any("neither ticket nor record" in finding.what for finding in notes(spool))


def test_a_record_that_cannot_be_read_is_said(spool: Spool) -> None:
    record = finished_job(spool)
    path = spool.record(record.job_id)
    path.unlink()
    path.write_text("{}")
    finding = the_fault(spool)
    assert finding.where == str(path)


def test_a_picture_that_is_gone_is_said_unless_it_was_cleaned_away(spool: Spool) -> None:
    record = finished_job(spool)
    path = PictureName(record.job_id, 1).picture(spool)
    path.unlink()
    finding = the_fault(spool)
    assert finding.where == str(path)
    time.sleep(0.01)
    assert faults(spool, keep=KeepSettings(gallery=0.0)) == []


def test_a_feed_that_cannot_be_read_is_said(spool: Spool) -> None:
    spool.feed.mkdir()
    assert the_fault(spool).where == str(spool.feed)
    spool.feed.rmdir()
    spool.feed.write_text('{"filename": "a"}\n{"fil\n')
    assert any("1 line(s)" in finding.what for finding in notes(spool))


def test_scratch_files_of_crashes_are_noted(spool: Spool) -> None:
    (spool.tmp / "1-a").touch()
    age(spool.tmp / "1-a", days=2)
    assert any("such as 1-a" in finding.what for finding in notes(spool))


def test_refused_files_are_counted_and_the_newest_reason_shown(spool: Spool) -> None:
    refused(spool, "old.json", days=2)
    new = refused(spool, "set/new.json", days=1)
    report = new.with_name("new.json.problem.json")
    report.write_text('{"detail": "width: \\u001b[2J is no number"}')
    (finding,) = (finding for finding in notes(spool) if finding.where == str(spool.rejected))
    assert finding.what == (
        "holds 2 refused files; the newest is rejected/set/new.json: width: \\x1b[2J is no number"
    )


@as_root
def test_files_of_roots_in_a_spool_of_another_user_are_said(spool: Spool) -> None:
    for path in [spool.root, *spool.root.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    ticket = queue_job(spool)
    said = {finding.where for finding in faults(spool)}
    assert said >= {str(spool.queued / str(ticket.name)), str(spool.events(ticket.job_id))}


def test_of_many_alike_ten_are_shown(spool: Spool) -> None:
    for number in range(50):
        Path(spool.queued, f"{number}.txt").touch()
    assert len(faults(spool)) == 11
    assert faults(spool)[-1].what == "and 40 more like the last"

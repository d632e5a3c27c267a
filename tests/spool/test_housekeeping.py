"""`genzo clean` on real spools: what goes, what stays, and what a kill leaves."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spool import ids
from spool.acceptance import admit_keyed, is_known, key_of, key_path, remember_rejection
from spool.claims import Slot
from spool.control import Verb, command
from spool.finishing import finish
from spool.gallery import PictureName
from spool.housekeeping import Cleaned, clean
from spool.layout import Spool
from spool.outgoing import outgoing_name
from spool.problems import Problem
from spool.records import read_record
from spool.settings import KeepSettings
from spool.views import job_view
from tests.spool.aging import DAY, EVERYTHING, NOTHING, age, files, finished_job, later, refused
from tests.spool.samples import (
    claim_job,
    completed,
    draw,
    hold_job,
    publish_pictures,
    queue_job,
)


def removed(cleaned: Cleaned) -> dict[str, int]:
    return {tally.kind: tally.files for tally in cleaned.tallies if tally.files}


def test_everything_of_an_old_job_goes_and_its_empty_folders_too(spool: Spool) -> None:
    finished_job(spool)
    cleaned = clean(spool, NOTHING, now_seconds=later())
    assert files(spool) == set()
    assert removed(cleaned) == {"gallery": 4, "outgoing": 4, "live": 2, "keys": 1, "records": 1}
    for tree in (spool.done, spool.gallery, spool.outgoing):
        assert list(tree.iterdir()) == []
    assert cleaned.obstacles == ()


def test_nothing_goes_that_is_kept_forever(spool: Spool) -> None:
    finished_job(spool)
    before = files(spool)
    assert removed(clean(spool, EVERYTHING, now_seconds=later(10_000))) == {}
    assert files(spool) == before


def test_by_default_pictures_and_records_stay_and_all_else_goes(spool: Spool) -> None:
    finished_job(spool)
    clean(spool, KeepSettings(), now_seconds=later(91))
    assert {name.partition("/")[0] for name in files(spool)} == {"done", "gallery"}


def test_what_is_younger_than_a_minute_stays_whatever_the_settings_say(spool: Spool) -> None:
    finished_job(spool)
    before = files(spool)
    assert removed(clean(spool, NOTHING)) == {}
    assert files(spool) == before


def test_a_job_that_is_not_finished_keeps_everything_however_old(spool: Spool) -> None:
    held = hold_job(spool)
    publish_pictures(spool, held)
    queued = draw(spool, key="queued")
    assert admit_keyed(spool, queued)
    active = claim_job(Slot.acquire(spool, "gpu0"))
    spool.cancel_request(active.job_id).touch()
    publish_pictures(spool, active.ticket)
    before = files(spool)
    assert removed(clean(spool, NOTHING, now_seconds=later(1000))) == {}
    assert files(spool) == before


def test_a_job_that_is_being_settled_keeps_its_record(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0"), drop_name="a.json")
    publish_pictures(spool, claim.ticket)
    finish(claim, completed(claim.ticket, starts=0))
    (claim.directory / str(claim.name)).write_bytes(claim.ticket.encode())
    clean(spool, NOTHING, now_seconds=later())
    assert spool.record(claim.job_id).exists()
    assert (spool.outgoing / "a" / claim.job_id / "result.json").exists()


def test_a_job_whose_acceptance_is_under_way_keeps_its_key_and_its_sidecar(spool: Spool) -> None:
    ticket = draw(spool, key="key")
    assert admit_keyed(spool, ticket)
    (spool.queued / str(ticket.name)).rename(spool.pending / f"{ticket.job_id}.json")
    clean(spool, NOTHING, now_seconds=later())
    assert ticket.key is not None
    assert is_known(spool, ticket.key)
    assert spool.events(ticket.job_id).exists()


def test_a_released_job_keeps_its_pictures(spool: Spool) -> None:
    held = hold_job(spool)
    publish_pictures(spool, held)
    assert command(spool, Verb.RELEASE, held.job_id)
    clean(spool, NOTHING, now_seconds=later())
    assert PictureName(held.job_id, 0).picture(spool).exists()


def test_records_go_by_the_day_in_the_id(spool: Spool) -> None:
    old = queue_job(spool, wish="20200101T120000000-00000a")
    new = queue_job(spool)
    for ticket in (old, new):
        command(spool, Verb.CANCEL, ticket.job_id)
        age(spool.record(ticket.job_id), days=1)
    clean(spool, KeepSettings(records=30 * DAY))
    assert read_record(spool, old.job_id) is None
    assert job_view(spool, old.job_id) is None
    assert read_record(spool, new.job_id) is not None
    assert not (spool.done / "20200101").exists()


def test_a_folder_of_today_stays_though_it_is_empty(spool: Spool) -> None:
    ticket = queue_job(spool, wish=ids.at(int((time.time() - 120) * 1000)))
    command(spool, Verb.CANCEL, ticket.job_id)
    record = spool.record(ticket.job_id)
    age(record, days=0.1)
    clean(spool, NOTHING)
    assert not record.exists()
    today = time.strftime("%Y%m%d", time.gmtime())
    assert record.parent.exists() or record.parent.parent.name < today


def test_live_files_go_by_the_age_of_the_record_not_by_their_own(spool: Spool) -> None:
    record = finished_job(spool)
    sidecars = [spool.events(record.job_id), spool.preview(record.job_id)]
    age(*sidecars, days=30)
    clean(spool, KeepSettings())
    assert all(path.exists() for path in sidecars)
    age(spool.record(record.job_id), days=0.5)
    clean(spool, KeepSettings())
    assert not any(path.exists() for path in sidecars)


def test_the_feed_and_foreign_names_in_live_stay(spool: Spool) -> None:
    for name in ("feed.jsonl", "notes.jsonl", "20260101T000000000-00000a.txt"):
        (spool.live / name).write_text("x")
        age(spool.live / name, days=1000)
    assert removed(clean(spool, NOTHING)) == {}


def test_an_id_that_was_drawn_and_never_used_is_forgotten_after_a_day(spool: Spool) -> None:
    young, old = draw(spool), draw(spool)
    age(spool.events(old.job_id), days=1.1)
    clean(spool, EVERYTHING)
    assert spool.events(young.job_id).exists()
    assert not spool.events(old.job_id).exists()


def test_sidecars_whose_record_was_cleaned_away_go_too(spool: Spool) -> None:
    record = finished_job(spool)
    spool.record(record.job_id).unlink()
    age(spool.events(record.job_id), spool.preview(record.job_id), days=1.1)
    assert removed(clean(spool, EVERYTHING)) == {}
    assert removed(clean(spool, KeepSettings(keys=None, outgoing=None))) == {"live": 2}


def test_a_key_goes_by_its_last_sighting(spool: Spool) -> None:
    record = finished_job(spool)
    key = key_of("key")
    age(key_path(spool, key), spool.record(record.job_id), days=91)
    assert is_known(spool, key)  # an rsync sends the file again
    clean(spool, KeepSettings())
    assert is_known(spool, key)
    age(key_path(spool, key), days=91)
    clean(spool, KeepSettings())
    assert not is_known(spool, key)


def test_the_key_of_a_refused_file_goes_by_its_age_alone(spool: Spool) -> None:
    for name, days in (("old", 91), ("new", 89)):
        remember_rejection(spool, key_of(name), Problem("No", "no"))
        age(key_path(spool, key_of(name)), days=days)
    clean(spool, KeepSettings())
    assert not is_known(spool, key_of("old"))
    assert is_known(spool, key_of("new"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2, "rejection": {}}'])
def test_a_key_that_is_not_understood_stays(spool: Spool, content: bytes) -> None:
    path = key_path(spool, "a" * 64)
    path.parent.mkdir()
    path.write_bytes(content)
    age(path, days=1000)
    clean(spool, NOTHING)
    assert path.exists()


def test_a_refused_file_goes_with_its_reason_by_the_age_of_the_reason(spool: Spool) -> None:
    old = refused(spool, "set/of/old.json", days=91)
    new = refused(spool, "new.json", days=89)
    age(new, days=1000)
    foreign = spool.rejected / "README"
    foreign.write_text("mine")
    age(foreign, days=1000)
    assert removed(clean(spool, KeepSettings())) == {"rejected": 2}
    assert not old.exists()
    assert not (spool.rejected / "set").exists()
    assert files(spool) == {
        "rejected/new.json",
        "rejected/new.json.problem.json",
        "rejected/README",
    }


def test_a_refused_file_that_is_called_like_a_reason_is_not_taken_for_one(spool: Spool) -> None:
    inner = refused(spool, "a.json.problem.json", days=1)
    age(inner, days=1000)
    (spool.rejected / "a.json").write_text("another")
    assert removed(clean(spool, KeepSettings())) == {}


def test_results_go_by_the_end_of_the_job_and_only_what_is_ours(spool: Spool) -> None:
    record = finished_job(spool)
    folder = spool.outgoing / outgoing_name("set/a.json") / record.job_id
    (folder / ".rsync-tmp").write_text("x")
    (folder / "notes.txt").write_text("x")
    (folder / "123-0123456789abcdef").write_text("a crash left it")
    assert removed(clean(spool, KeepSettings())) == {}
    age(folder / "result.json", days=91)
    clean(spool, KeepSettings(live=None))
    assert {path.name for path in folder.iterdir()} == {".rsync-tmp", "notes.txt"}


def test_a_folder_without_a_result_is_not_delivered_yet_and_stays(spool: Spool) -> None:
    record = finished_job(spool)
    folder = spool.outgoing / "set" / "a" / record.job_id
    age(folder / "result.json", days=91)
    (folder / "result.json").unlink()
    clean(spool, KeepSettings())
    assert len(list(folder.iterdir())) == 3


def test_scratch_files_go_after_a_day(spool: Spool) -> None:
    for name, days in (("1-0123456789abcdef", 1.1), ("2-0123456789abcdef", 0.9)):
        (spool.tmp / name).write_bytes(b"1234")
        age(spool.tmp / name, days=days)
    cleaned = clean(spool, EVERYTHING)
    assert files(spool) == {"tmp/2-0123456789abcdef"}
    (tally,) = (tally for tally in cleaned.tallies if tally.kind == "tmp")
    assert (tally.files, tally.bytes) == (1, 4)


def test_a_dry_run_changes_nothing_and_counts_the_same(spool: Spool) -> None:
    finished_job(spool)
    refused(spool, "a.json", days=91)
    before = sorted(spool.root.rglob("*"))
    instant = later(91)
    foretold = clean(spool, NOTHING, dry_run=True, now_seconds=instant)
    assert sorted(spool.root.rglob("*")) == before
    assert clean(spool, NOTHING, now_seconds=instant) == foretold
    assert sum(tally.bytes for tally in foretold.tallies) > 0


def test_a_link_is_not_followed_and_what_it_leads_to_stays(spool: Spool, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    job_id = "20200101T120000000-00000a"
    for folder in (outside / job_id, outside / "20200101" / "12", outside / "12"):
        folder.mkdir(parents=True)
        for name in ("result.json", "SHA256SUMS", f"{job_id}-0.png", f"{job_id}.json"):
            (folder / name).write_text("{}")
    (outside / "a.json").write_text("x")
    (outside / "a.json.problem.json").write_text("{}")
    for path in outside.rglob("*"):
        age(path, days=1000)
    before = sorted(outside.rglob("*"))
    (spool.outgoing / "set").symlink_to(outside)
    (spool.outgoing / job_id).symlink_to(outside / job_id)
    (spool.rejected / "set").symlink_to(outside)
    (spool.rejected / "a.json").symlink_to(outside / "a.json")
    (spool.rejected / "b.json.problem.json").symlink_to(outside / "a.json.problem.json")
    (spool.gallery / "20200101").symlink_to(outside / "20200101")
    (spool.done / "20200101").mkdir()
    (spool.done / "20200101" / "12").symlink_to(outside / "12")
    clean(spool, NOTHING, now_seconds=later())
    assert sorted(outside.rglob("*")) == before


def test_a_tree_that_is_itself_a_link_is_left_and_said(spool: Spool, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.move(spool.gallery, outside)
    spool.gallery.symlink_to(outside)
    cleaned = clean(spool, NOTHING, now_seconds=later())
    assert [text.partition(":")[0] for text in cleaned.obstacles] == ["gallery"]


def test_days_that_are_too_young_are_not_read(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("20200101", "20200102", "29990101"):
        (spool.done / day / "00").mkdir(parents=True)
    opened: list[str] = []
    original: Callable[..., int] = os.open

    def noted(path: str | Path, *arguments: int, **options: int | None) -> int:
        opened.append(str(path))
        return original(path, *arguments, **options)

    monkeypatch.setattr(os, "open", noted)
    age_seconds = time.time() - 1_577_880_000 - 3600  # 2020-01-01T11:00
    clean(spool, EVERYTHING.model_copy(update={"records": age_seconds}), dry_run=True)
    assert "20200101" in opened
    assert not {"20200102", "29990101"} & set(opened)

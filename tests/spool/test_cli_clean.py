from __future__ import annotations

import json
from pathlib import Path

from spool.layout import Spool
from spool.locks import lock
from tests.spool.aging import age, files, finished_job, refused
from tests.spool.processes import genzo


def test_clean_says_what_it_removed(spool: Spool) -> None:
    refused(spool, "a.json", days=91)
    would = genzo("clean", "--spool", spool.root, "--dry-run")
    assert "rejected       2 files would be removed, 6 bytes would be freed" in would.stdout
    assert len(files(spool)) == 2
    did = genzo("clean", "--spool", spool.root)
    assert (did.returncode, did.stderr) == (0, "")
    assert "rejected       2 files removed, 6 bytes freed" in did.stdout
    assert files(spool) == set()


def test_clean_obeys_the_configuration(spool: Spool, tmp_path: Path) -> None:
    record = finished_job(spool)
    config = tmp_path / "genzo.toml"
    config.write_text('[keep]\nlive = "2d"\n')
    age(spool.record(record.job_id), days=1)
    ended = genzo("clean", "--spool", spool.root, "--config", config, "--json")
    answer = json.loads(ended.stdout)
    assert answer["dry_run"] is False
    assert not any(tally["files"] for tally in answer["tallies"])
    config.write_text('[keep]\nlive = "yesterday"\n')
    refused_config = genzo("clean", "--spool", spool.root, "--config", config)
    assert refused_config.returncode == 1
    assert "keep.live" in refused_config.stderr
    assert spool.events(record.job_id).exists()


def test_a_record_that_was_cleaned_away_is_no_job_any_more(spool: Spool, tmp_path: Path) -> None:
    record = finished_job(spool)
    spool.record(record.job_id).unlink()
    ended = genzo("show", "--spool", spool.root, record.job_id)
    assert ended.returncode == 1
    assert f"no job {record.job_id}" in ended.stderr


def test_a_second_clean_says_that_one_is_at_work(spool: Spool) -> None:
    with lock(spool, "clean"):
        ended = genzo("clean", "--spool", spool.root)
    assert ended.returncode == 1
    assert "another genzo clean is at work" in ended.stderr


def test_clean_needs_a_spool(tmp_path: Path) -> None:
    ended = genzo("clean", "--spool", tmp_path)
    assert ended.returncode == 1
    assert "is not a spool" in ended.stderr


def test_what_could_not_be_cleaned_is_said(spool: Spool) -> None:
    spool.gallery.rmdir()
    ended = genzo("clean", "--spool", spool.root, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, "without [keep] gallery nothing is looked for there"
    spool.tmp.rmdir()
    ended = genzo("clean", "--spool", spool.root)
    assert ended.returncode == 1
    assert "tmp: " in ended.stderr

"""Kills, races and other users in the way of `genzo clean`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spool.acceptance import admit_keyed, is_known, key_of, key_path
from spool.gallery import PictureName, newest_first, publish_picture
from spool.housekeeping import CleanBusy, clean
from spool.layout import Spool
from spool.locks import lock
from spool.picture_files import PictureFormat
from spool.problems import SpoolError
from spool.records import read_record
from spool.settings import KeepSettings
from spool.states import find
from spool.tickets import Ticket
from tests.spool.aging import DAY, NOTHING, age, files, finished_job, later, refused
from tests.spool.crashes import killed_at_each_effect
from tests.spool.processes import NOBODY, as_root, become, child
from tests.spool.samples import draw, hold_job, publish_pictures


def test_a_key_that_is_seen_while_clean_waits_for_the_lock_stays(spool: Spool) -> None:
    finished_job(spool)
    path = key_path(spool, key_of("key"))
    age(path, days=91)
    with lock(spool, "admissions"), child(clean, spool, KeepSettings()) as process:
        process.join(1)
        assert process.is_alive()
        assert is_known(spool, key_of("key"))
    with child(clean, spool, KeepSettings()) as process:
        process.join(20)
    assert path.exists()


def test_one_process_cleans_at_a_time(spool: Spool) -> None:
    with lock(spool, "clean"), pytest.raises(CleanBusy, match=r"clean\.lock"):
        clean(spool, NOTHING)
    clean(spool, NOTHING)


@as_root
def test_another_users_spool_is_not_cleaned(public_directory: Path) -> None:
    spool = Spool.create(public_directory / "spool")

    def attempt() -> None:
        become(NOBODY)
        with pytest.raises(SpoolError, match="belongs to user 0"):
            clean(spool, NOTHING)

    with child(attempt) as process:
        process.join(20)
        assert process.exitcode == 0


def _scenes(directory: Path) -> Iterator[Spool]:
    for number in range(1000):
        yield Spool.create(directory / str(number))


def test_a_kill_at_any_line_leaves_what_a_second_clean_finishes(tmp_path: Path) -> None:
    spools = _scenes(tmp_path)
    instant = later()

    def prepare() -> tuple[Spool, Ticket, set[str]]:
        spool = next(spools)
        living = hold_job(spool, count=1)
        publish_pictures(spool, living)
        keyed = draw(spool, key="living")
        admit_keyed(spool, keyed)
        kept = files(spool)
        finished_job(spool)
        refused(spool, "set/a.json", days=91)
        (spool.tmp / "1-0123456789abcdef").touch()
        return spool, living, kept

    kills = 0
    for spool, living, kept in killed_at_each_effect(
        prepare, lambda scene: clean(scene[0], NOTHING, now_seconds=instant)
    ):
        kills += 1
        left = files(spool)
        assert kept <= left
        records = {name for name in left if name.startswith("done/")}
        assert records or left == kept, "a record goes last"
        assert find(spool, living.job_id) is not None
        clean(spool, NOTHING, now_seconds=instant)
        assert files(spool) == kept
        clean(spool, NOTHING, now_seconds=instant + 2 * DAY)
        assert list(spool.outgoing.iterdir()) == list(spool.rejected.iterdir()) == []
    assert kills > 20


def test_a_result_is_whole_or_has_its_json_until_the_end(tmp_path: Path) -> None:
    spools = _scenes(tmp_path)

    def prepare() -> Spool:
        spool = next(spools)
        finished_job(spool)
        return spool

    keep = KeepSettings(live=None, keys=None)
    for spool in killed_at_each_effect(prepare, lambda s: clean(s, keep, now_seconds=later(91))):
        names = {path.name for path in spool.outgoing.rglob("*") if path.is_file()}
        assert not names or "result.json" in names


@pytest.mark.parametrize("tree", ["done", "gallery", "outgoing"])
def test_a_job_finishes_though_its_empty_folders_are_removed_meanwhile(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, tree: str
) -> None:
    original = os.link
    removals = 0

    def link(source: Path, target: Path, **options: Any) -> None:
        nonlocal removals
        folder = Path(target).parent
        if (spool.root / tree) in folder.parents and removals < 3 and not os.listdir(folder):
            removals += 1
            folder.rmdir()
            folder.parent.rmdir()
        original(source, target, **options)

    monkeypatch.setattr(os, "link", link)
    record = finished_job(spool)
    assert removals == 3
    assert read_record(spool, record.job_id) == record
    assert len(list(spool.gallery.rglob("*.png"))) == 2
    assert len(list(spool.outgoing.rglob("*.*"))) == 3
    assert list(spool.tmp.iterdir()) == []


def test_a_picture_goes_before_its_thumbnail_in_every_format(tmp_path: Path) -> None:
    spools = _scenes(tmp_path)
    name = PictureName("20200101T120000000-00000a", 0)
    formats = list(PictureFormat)

    def prepare() -> Spool:
        spool = next(spools)
        for index, each in enumerate(formats):
            publish_picture(spool, replace(name, index=index, format=each), b"data", b"thumb")
        return spool

    seen = set()
    for spool in killed_at_each_effect(prepare, lambda s: clean(s, NOTHING, now_seconds=later())):
        pictures = list(newest_first(spool))
        assert all(picture.thumbnail(spool).exists() for picture in pictures)
        seen.add(len(pictures))
        clean(spool, NOTHING, now_seconds=later())
        assert files(spool) == set()
    assert seen == {0, 1, 2, 3}

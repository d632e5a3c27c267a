"""Pages of a gallery agree with the whole, whatever was remembered."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from httpd.album import Album
from spool import ids
from spool.gallery import PictureName, count, newest_first
from spool.layout import Spool

HOUR_MS = 3_600_000
LONG_AGO_MS = 1_700_000_000_000


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A gallery of five hours with seven pictures each."""
    made = Spool.create(tmp_path / "spool")
    for hour in range(5):
        for number in range(7):
            add(made, LONG_AGO_MS + hour * HOUR_MS + number)
    return made


def add(spool: Spool, instant_ms: int) -> PictureName:
    name = PictureName(ids.at(instant_ms), 0)
    path = name.picture(spool)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return name


def settle(spool: Spool) -> None:
    """Make every folder look as if it had not changed for a while."""
    for folder in spool.gallery.glob("*/*"):
        os.utime(folder, (time.time() - 60, time.time() - 60))


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 100])
def test_pages_put_together_are_the_whole(spool: Spool, limit: int) -> None:
    settle(spool)
    album = Album(spool)
    seen: list[PictureName] = []
    for offset in range(0, 40, limit):
        names, total = album.page(limit, offset)
        assert total == count(spool) == 35
        seen += names
    assert seen == list(newest_first(spool))


def test_a_picture_that_comes_or_goes_is_noticed(spool: Spool) -> None:
    settle(spool)
    album = Album(spool)
    assert album.page(2, 0)[1] == 35
    newest = add(spool, LONG_AGO_MS + 9 * HOUR_MS)
    late = add(spool, LONG_AGO_MS + 8)
    names, total = album.page(1, 0)
    assert (names, total) == ([newest], 37)
    assert late in album.page(100, 0)[0]
    late.picture(spool).unlink()
    assert album.page(1, 0)[1] == 36


def test_changes_within_one_tick_of_the_clock_are_noticed(spool: Spool) -> None:
    album = Album(spool)
    for number in range(50):
        assert album.page(1, 0)[1] == 35 + number
        add(spool, LONG_AGO_MS + 100 + number)


def test_what_is_no_folder_of_pictures_is_passed_over(spool: Spool) -> None:
    (spool.gallery / "notes.txt").touch()
    (spool.gallery / "20231114" / "notes.txt").touch()
    assert Album(spool).page(100, 0)[1] == 35

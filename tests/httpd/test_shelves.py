"""Pages out of the folders agree with the whole, whatever was remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from httpd.finding import Wanted
from httpd.keys import key_of, name_of, rank_at
from httpd.shelves import Shelves
from spool import ids
from spool.gallery import PictureName, newest_first
from spool.layout import Spool
from tests.httpd.shelf_filler import HOUR_MS, LONG_AGO_MS, lay, settle

EVERYTHING = Wanted()


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
    lay(spool, name)
    return name


def page(shelves: Shelves, limit: int, offset: int = 0) -> list[PictureName]:
    return [name_of(key) for key in shelves.page(EVERYTHING, limit, offset)]


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 100])
def test_pages_put_together_are_the_whole(spool: Spool, limit: int) -> None:
    settle(spool)
    shelves = Shelves(spool)
    seen = [name for offset in range(0, 40, limit) for name in page(shelves, limit, offset)]
    assert seen == list(newest_first(spool))


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 100])
def test_pages_behind_each_other_are_the_whole(spool: Spool, limit: int) -> None:
    shelves, after = Shelves(spool), None
    seen: list[PictureName] = []
    while keys := shelves.page(EVERYTHING, limit, after=after):
        seen += map(name_of, keys)
        after = keys[-1]
    assert seen == list(newest_first(spool))


def test_a_span_of_time_is_all_between(spool: Spool) -> None:
    settle(spool)
    first_ms, end_ms = LONG_AGO_MS + HOUR_MS + 3, LONG_AGO_MS + 3 * HOUR_MS + 2
    wanted = Wanted(first=rank_at(first_ms), end=rank_at(end_ms))
    expected = [
        name for name in newest_first(spool) if first_ms <= ids.created_ms(name.job_id) < end_ms
    ]
    shelves = Shelves(spool)
    assert len(expected) == 4 + 7 + 2
    for offset in range(14):
        found = shelves.page(wanted, 5, offset)
        assert [name_of(key) for key in found] == expected[offset : offset + 5]
    behind = shelves.page(wanted, 5, 1, key_of(expected[3]))
    assert [name_of(key) for key in behind] == expected[5:10]


def test_a_picture_that_comes_or_goes_is_noticed(spool: Spool) -> None:
    settle(spool)
    shelves = Shelves(spool)
    last = page(shelves, 1, 34)
    newest = add(spool, LONG_AGO_MS + 9 * HOUR_MS)
    late = add(spool, LONG_AGO_MS + 8)
    assert page(shelves, 1) == [newest]
    assert page(shelves, 1, 36) == last
    assert late in page(shelves, 100)
    late.picture(spool).unlink()
    assert page(shelves, 1, 35) == last


def test_changes_within_one_tick_of_the_clock_are_noticed(spool: Spool) -> None:
    shelves = Shelves(spool)
    for number in range(50):
        assert len(page(shelves, 1, 34 + number)) == 1
        assert page(shelves, 1, 35 + number) == []
        add(spool, LONG_AGO_MS + 4 * HOUR_MS + 100 + number)


def test_what_is_no_folder_of_pictures_is_passed_over(spool: Spool) -> None:
    (spool.gallery / "notes.txt").touch()
    (spool.gallery / "20231114" / "notes.txt").touch()
    (spool.gallery / "20231399" / "12").mkdir(parents=True)
    strange = spool.gallery / "20231114" / "3" / f"{ids.at(LONG_AGO_MS)}-0.png"
    strange.parent.mkdir()
    strange.touch()
    assert len(page(Shelves(spool), 100)) == 35


def test_a_picture_in_the_folder_of_another_hour_is_passed_over(spool: Spool) -> None:
    name = add(spool, LONG_AGO_MS)
    folder = name.picture(spool).parent
    name.picture(spool).rename(folder.with_name("23") / str(name))
    assert len(page(Shelves(spool), 100)) == 35

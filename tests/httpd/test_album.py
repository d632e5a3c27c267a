"""Pages out of the index are those of the folders, whatever happens to either."""

from __future__ import annotations

import itertools
import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from httpd.album import Album
from httpd.finding import MAX_COUNTED, Wanted
from httpd.keys import FIRST_RANK, LAST_RANK, Key, key_of, name_of, rank_at
from httpd.shelves import Shelves
from httpd.terms import query_terms
from spool import ids
from spool.gallery import PictureName, newest_first, remove_picture
from spool.layout import Spool
from spool.problems import Problem
from spool.settings import HttpSettings, Settings
from tests.httpd.albums import names, opened, search
from tests.httpd.shelf_filler import HOUR_MS, LONG_AGO_MS, add, settle
from tests.services import wait_for

HOURS = 60


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Spool, Album]]:
    """Some 3,000 pictures of two models in sixty hours, and an album of them."""
    spool = Spool.create(tmp_path_factory.mktemp("many") / "spool")
    draw = random.Random(1)
    for number in range(2000):
        instant_ms = LONG_AGO_MS + draw.randrange(HOURS * HOUR_MS)
        prompt = (
            f"a {'red' if number % 2 else 'blue'} circle{', 夕焼け' if number % 5 == 0 else ''}"
        )
        add(spool, instant_ms, prompt, "ab"[number % 3 == 0], count=draw.choice((1, 1, 1, 3)))
    settle(spool)
    with opened(spool) as album:
        yield spool, album


@given(st.data())
@examples(max_examples=200)
def test_pages_of_the_index_are_those_of_the_folders(
    many: tuple[Spool, Album], data: st.DataObject
) -> None:
    spool, album = many
    everything = list(newest_first(spool))
    instants = st.integers(LONG_AGO_MS - HOUR_MS, LONG_AGO_MS + (HOURS + 1) * HOUR_MS)
    on_the_hour = st.integers(-1, HOURS + 1).map(lambda hour: LONG_AGO_MS + hour * HOUR_MS)
    ranks = st.one_of(instants, on_the_hour).map(rank_at)
    wanted = Wanted(
        first=data.draw(st.one_of(st.just(FIRST_RANK), ranks)),
        end=data.draw(st.one_of(st.just(LAST_RANK), ranks)),
    )
    limit, offset = data.draw(st.integers(1, 100)), data.draw(st.integers(0, 3200))
    after = data.draw(st.one_of(st.none(), st.sampled_from(everything).map(key_of)))
    page = album.page(limit, offset, wanted=wanted, after=after)
    keys = Shelves(spool).page(wanted, limit + 1, offset, after)
    assert [name for name, _ in page.pictures] == [name_of(key) for key in keys[:limit]]
    assert page.last == (keys[limit - 1] if len(keys) > limit else None)
    between = [key for key in map(key_of, everything) if wanted.first <= key.rank < wanted.end]
    assert page.total == len(between)


@pytest.mark.parametrize("model", [None, "a", "b", "c"])
@pytest.mark.parametrize("query", [None, "red", "circle", "夕焼け", "red 夕", "green", '"', ""])
def test_what_is_wanted_is_found_page_by_page(
    many: tuple[Spool, Album], query: str | None, model: str | None
) -> None:
    spool, album = many
    terms = None if query is None else tuple(query_terms(query))
    first_ms = LONG_AGO_MS + 7 * HOUR_MS + 99
    wanted = Wanted(first=rank_at(first_ms), model=model, terms=terms)

    def is_wanted(name: PictureName) -> bool:
        source = described[name]
        prompt = source.prompt
        found = terms is None or (bool(terms) and all(part in prompt for part in query.split()))  # type: ignore[union-attr]
        late = ids.created_ms(name.job_id) >= first_ms
        return found and late and (model is None or source.model == model)

    described = {name: source for name, source in everything(album) if source is not None}
    expected = [name for name in newest_first(spool) if is_wanted(name)]
    assert [name for name, _ in everything(album, wanted)] == expected
    by_offset = [
        name
        for offset in range(0, len(expected) + 70, 70)
        for name, _ in album.page(70, offset, wanted=wanted).pictures
    ]
    assert by_offset == expected
    total = len(expected) if terms is None or len(expected) <= MAX_COUNTED else None
    assert album.page(1, wanted=wanted).total == total


def everything(album: Album, wanted: Wanted | None = None):  # type: ignore[no-untyped-def]
    """All that is wanted, by cursors."""
    after: Key | None = None
    while True:
        page = album.page(97, wanted=wanted or Wanted(), after=after)
        yield from page.pictures
        after = page.last
        if after is None:
            return


def test_no_page_repeats_or_leaves_out_while_pictures_come_and_go(spool: Spool) -> None:
    there = [add(spool, LONG_AGO_MS + number * 1000)[0] for number in range(300)]
    with opened(spool) as album:
        seen: list[PictureName] = []
        after = None
        for turn in itertools.count():
            page = album.page(20, after=after)
            seen += [name for name, _ in page.pictures]
            after = page.last
            if after is None:
                break
            add(spool, LONG_AGO_MS + HOUR_MS + turn)
            remove_picture(spool, there[10 * turn])
            if turn == 3:  # the picture that the cursor names
                remove_picture(spool, seen[-1])
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(there)
    # What went before its page was read is the only thing that may be missing.
    assert all(name in seen or not name.picture(spool).exists() for name in there)


def test_a_picture_is_found_as_soon_as_it_is_there(spool: Spool) -> None:
    with opened(spool) as album:
        for number in range(20):
            newest = add(spool, LONG_AGO_MS + number * HOUR_MS, f"number {number}")[0]
            assert names(album, limit=1) == [newest]
            assert names(album, search(f"number {number}")) == [newest]
            assert album.page(1).total == number + 1


def test_a_picture_of_a_job_that_waited_for_days_is_found_once_it_is_noted(spool: Spool) -> None:
    for hour in range(100):
        add(spool, LONG_AGO_MS + hour * HOUR_MS)
    settle(spool)
    with opened(spool) as album:
        late = add(spool, LONG_AGO_MS + 5, "late")[0]
        album.note([late])
        assert names(album, search("late")) == [late]


def test_what_is_removed_by_hand_is_on_no_page(spool: Spool) -> None:
    there = [add(spool, LONG_AGO_MS + hour * HOUR_MS, f"hour {hour}")[0] for hour in range(100)]
    settle(spool)
    with opened(spool) as album:
        there[99].picture(spool).unlink()
        there[3].picture(spool).unlink()
        shutil.rmtree(there[5].picture(spool).parent)
        assert names(album, limit=1) == [there[98]]
        assert names(album, search("hour 3")) == [there[hour] for hour in range(39, 29, -1)]
        assert names(album, search("hour 5")) == [there[hour] for hour in range(59, 49, -1)]
        assert album.page(100).total == 97
        assert names(album) == [there[hour] for hour in range(98, -1, -1) if hour not in {3, 5}]


def test_a_change_that_no_page_shows_is_noticed_after_a_while(spool: Spool) -> None:
    there = [add(spool, LONG_AGO_MS + hour * HOUR_MS)[0] for hour in range(100)]
    settle(spool)
    with opened(spool) as album:
        there[0].picture(spool).unlink()
        restored = add(spool, LONG_AGO_MS + 1, "out of a backup", count=2)
        wait_for(lambda: album.page(1).total == 101, seconds=20, what="the change")
        assert names(album, search("backup")) == restored[::-1]


def test_what_a_restart_finds_changed_is_in_its_first_page(spool: Spool) -> None:
    there = [add(spool, LONG_AGO_MS + hour * HOUR_MS)[0] for hour in range(100)]
    settle(spool)
    with opened(spool):
        pass
    newest = add(spool, LONG_AGO_MS + 200 * HOUR_MS)[0]
    there[50].picture(spool).unlink()
    with opened(spool) as album:
        assert names(album, limit=1) == [newest]
        assert album.page(1).total == 100
        assert there[50] not in names(album)


def test_a_restart_reads_no_folder_again_that_has_not_changed(spool: Spool) -> None:
    for hour in range(100):
        add(spool, LONG_AGO_MS + hour * HOUR_MS, "kept")
    settle(spool)
    with opened(spool):
        pass
    shutil.rmtree(spool.done)
    with opened(spool) as album:
        assert len(names(album, search("kept"))) == 100


def test_pages_are_served_while_the_index_is_built(spool: Spool) -> None:
    there = [add(spool, LONG_AGO_MS + number)[0] for number in range(30)]
    album = Album(spool)  # not started: as good as at the very beginning
    page = album.page(10, 5)
    assert [name for name, _ in page.pictures] == there[::-1][5:15]
    assert page.total is None
    assert page.last == key_of(there[::-1][14])
    assert album.page(10, wanted=search("red")).pictures == []


def test_an_index_that_is_removed_is_made_anew(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    there = [add(spool, LONG_AGO_MS + number, "kept")[0] for number in range(30)]
    with opened(spool) as album:
        for remove in (shutil.rmtree, lambda folder: (folder / "gallery.sqlite").unlink()):
            remove(spool.cache)
            assert names(album) == there[::-1]
            wait_for(lambda: names(album, search("kept")) == there[::-1], what="the index")
            wait_for(lambda: album.page(1).total == 30, what="the index")
    assert "was removed; it is made anew" in caplog.text
    assert (spool.cache.stat().st_mode & 0o777) == 0o700


@pytest.mark.parametrize("damage", ["garbage", "zeros", "empty", "half", "rows"])
def test_an_index_that_is_damaged_is_made_anew(
    spool: Spool, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    there = [add(spool, LONG_AGO_MS + number, "kept")[0] for number in range(300)]
    settle(spool)
    with opened(spool) as album:
        wound(spool.cache / "gallery.sqlite", damage)
        for _ in range(2):  # what notices it, and what comes after
            assert names(album, limit=300) == there[::-1]
        wait_for(lambda: names(album, search("kept"), 300) == there[::-1], what="the index")
    wound(spool.cache / "gallery.sqlite", damage)
    with opened(spool) as album:
        assert names(album, limit=300) == there[::-1]
        wait_for(lambda: names(album, search("kept"), 300) == there[::-1], what="the index")
    assert "made anew" in caplog.text


def wound(path: Path, damage: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if damage == "rows":
            connection.execute("UPDATE jobs SET source = 'nonsense'")
    connection.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "garbage":
            file.write(random.Random(1).randbytes(size))
        elif damage == "zeros":
            file.write(bytes(size))
        elif damage == "empty":
            file.truncate(0)
        elif damage == "half":
            file.truncate(size // 2)


def test_without_a_place_for_the_index_pages_are_served_and_searches_refused(
    spool: Spool, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    settings = Settings(http=HttpSettings(cache=tmp_path / "file"))
    there = add(spool, LONG_AGO_MS)
    album = Album(spool, settings)
    album.start()
    try:
        assert names(album) == there
        with pytest.raises(Problem, match="cannot be made") as refusal:
            album.page(10, wanted=search("red"))
        assert refusal.value.status == 503
    finally:
        album.stop()


def test_a_damaged_index_that_cannot_be_removed_ends_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there = [add(spool, LONG_AGO_MS + number, "kept")[0] for number in range(300)]
    settle(spool)
    with opened(spool) as album:
        # Root may remove anything, so the refusal is made up.
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", _refuse)
            wound(spool.cache / "gallery.sqlite", "garbage")
            assert names(album, limit=300) == there[::-1]
            assert "cannot be removed" in caplog.text
        wait_for(lambda: names(album, search("kept"), 300) == there[::-1], what="the index")


def _refuse(path: Path, missing_ok: bool = False) -> None:
    raise PermissionError(1, "Operation not permitted", str(path))


def test_the_index_lies_where_the_settings_say(spool: Spool, tmp_path: Path) -> None:
    other = Spool.create(tmp_path / "other")
    here, there = add(spool, LONG_AGO_MS, "here"), add(other, LONG_AGO_MS, "there")
    settings = Settings(http=HttpSettings(cache=tmp_path / "cache"))
    with opened(spool, settings) as one, opened(other, settings) as two:
        assert names(one, search("here")) == here
        assert names(two, search("there")) == there
        assert names(one, search("there")) == []
    assert list(spool.cache.iterdir()) == []


def test_two_servers_of_one_spool_share_the_index(spool: Spool) -> None:
    with opened(spool) as one, opened(spool) as other:
        for number in range(10):
            newest = add(spool, LONG_AGO_MS + number, f"number {number}")
            assert names(one, search(f"number {number}")) == newest
            assert names(other, search(f"number {number}")) == newest
            assert one.page(1).total == other.page(1).total == number + 1


def test_pages_asked_for_at_once_agree(spool: Spool) -> None:
    there = [add(spool, LONG_AGO_MS + hour * HOUR_MS)[0] for hour in range(60)]
    with opened(spool) as album:
        results: list[list[PictureName]] = []

        def ask() -> None:
            results.extend(names(album) for _ in range(20))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 160
        assert all(result == there[::-1] for result in results)

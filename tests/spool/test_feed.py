from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from spool import feed
from spool.feed import FEED_BYTES, FeedReader, announce
from spool.layout import Spool
from tests.spool.processes import child, in_children

PAD = {"job_id": "x" * 300}


def _names(reader: FeedReader) -> list[str]:
    return [picture["filename"] for picture in reader.read()]


def test_a_reader_gets_each_picture_once_in_order(spool: Spool) -> None:
    reader = FeedReader(spool)
    assert _names(reader) == []
    announce(spool, "a.png", {"job_id": "1"})
    announce(spool, "b.png", {"job_id": "1"})
    assert reader.read() == [
        {"filename": "a.png", "job_id": "1"},
        {"filename": "b.png", "job_id": "1"},
    ]
    assert _names(reader) == []
    announce(spool, "c.png", {"job_id": "2"})
    assert _names(reader) == ["c.png"]


def test_a_reader_may_begin_with_what_comes(spool: Spool) -> None:
    announce(spool, "a.png", PAD)
    reader = FeedReader(spool)
    reader.skip()
    announce(spool, "b.png", PAD)
    assert _names(reader) == ["b.png"]


def test_a_picture_is_announced_once_though_its_job_is_finished_twice(spool: Spool) -> None:
    for _ in range(2):
        announce(spool, "a-1.png", PAD)
    announce(spool, "a-10.png", PAD)
    announce(spool, "a-1.png", PAD)
    assert _names(FeedReader(spool)) == ["a-1.png", "a-10.png"]


def test_the_feed_stays_bounded(spool: Spool) -> None:
    sizes = []
    for number in range(1500):
        announce(spool, f"{number}.png", PAD)
        sizes.append(spool.feed.stat().st_size)
    assert max(sizes) <= FEED_BYTES
    assert sizes.count(min(sizes[1:])) <= 2
    names = _names(FeedReader(spool))
    assert names == [f"{number}.png" for number in range(1500 - len(names), 1500)]
    assert len(names) > 300


@pytest.mark.parametrize("every", [1, 7, 100])
def test_a_reader_that_keeps_up_loses_and_repeats_nothing_when_the_file_changes(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    monkeypatch.setattr(feed, "FEED_BYTES", 64 * 1024)
    reader = FeedReader(spool)
    seen: list[str] = []
    inodes = set()
    for number in range(800):
        announce(spool, f"{number}.png", PAD)
        inodes.add(spool.feed.stat().st_ino)
        if number % every == 0:
            seen += _names(reader)
    seen += _names(reader)
    assert len(inodes) > 1
    assert seen == [f"{number}.png" for number in range(800)]


def test_a_reader_that_fell_behind_repeats_nothing_and_goes_on_with_what_is_left(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FEED_BYTES", 16 * 1024)
    reader = FeedReader(spool)
    announce(spool, "first.png", PAD)
    assert _names(reader) == ["first.png"]
    for number in range(60):
        announce(spool, f"{number}.png", PAD)
    seen = _names(reader)
    assert seen == [f"{number}.png" for number in range(60 - len(seen), 60)]
    assert len(seen) >= 20


def test_a_torn_line_spoils_no_other_and_stops_no_reader(spool: Spool) -> None:
    reader = FeedReader(spool)
    announce(spool, "a.png", PAD)
    with spool.feed.open("ab") as file:
        file.write(b'{"filename": "b.png", "job')
    assert _names(reader) == ["a.png"]
    announce(spool, "b.png", PAD)
    announce(spool, "c.png", PAD)
    assert _names(reader) == ["b.png", "c.png"]
    assert _names(FeedReader(spool)) == ["a.png", "b.png", "c.png"]


def test_the_group_may_read_the_feed_whatever_the_umask(spool: Spool) -> None:
    before = os.umask(0o077)
    try:
        announce(spool, "a.png", PAD)
    finally:
        os.umask(before)
    assert stat.S_IMODE(spool.feed.stat().st_mode) == 0o640


def _announce_many(root: str, writer: int) -> list[str]:
    spool = Spool.open(Path(root))
    for number in range(150):
        announce(spool, f"{writer}-{number}.png", PAD)
    return []


def test_pictures_of_several_daemons_all_come_while_a_reader_reads(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small enough to change several times, large enough for a reader on a busy machine.
    monkeypatch.setattr(feed, "FEED_BYTES", 64 * 1024)
    reader = FeedReader(spool)
    seen: list[str] = []
    with (
        child(_announce_many, str(spool.root), 0) as first,
        child(_announce_many, str(spool.root), 1) as second,
    ):
        while first.is_alive() or second.is_alive():
            seen += _names(reader)
    seen += _names(reader)
    assert len(seen) == len(set(seen)) == 300
    for writer in (0, 1):
        own = [name for name in seen if name.startswith(f"{writer}-")]
        assert own == [f"{writer}-{number}.png" for number in range(150)]


def test_one_picture_that_two_daemons_announce_at_once_comes_once(spool: Spool) -> None:
    in_children(_announce_many, [(str(spool.root), 0)] * 3)
    assert len(_names(FeedReader(spool))) == 150

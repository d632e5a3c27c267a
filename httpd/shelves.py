"""The gallery as its folders show it: one for each hour, read the newest first.

Pages can be had of them at any time and are exact, but one far from the newest costs a look at
every folder before it. How many pictures a folder holds is remembered for as long as its own time
stands still.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

from httpd.finding import Wanted
from httpd.keys import Key, folder_of, key_of, shard_in, shard_of
from spool.gallery import pictures_in
from spool.layout import Spool, shards

SETTLED_SECONDS = 2.0
"""Two changes within one tick of the file system's clock leave the same time behind."""


def hours(spool: Spool) -> Iterator[tuple[int, Path]]:
    """Every hour that has a folder, and the folder, the newest first."""
    for folder in shards(spool.gallery):
        shard = shard_in(folder.parent.name, folder.name)
        if shard is not None:
            yield shard, folder


def folder_in(spool: Spool, shard: int) -> Path:
    return spool.gallery / folder_of(shard)


def mtime_of(folder: Path) -> int | None:
    """When the folder last changed, in nanoseconds since 1970; None if there is none."""
    try:
        return folder.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_settled(mtime_ns: int) -> bool:
    """Whether a change from now on will give the folder another time."""
    return time.time_ns() - mtime_ns > SETTLED_SECONDS * 1e9


def keys_on(shard: int, folder: Path) -> set[Key]:
    """The pictures of the hour `shard` in its `folder`; what is misplaced has no address."""
    return {key for key in map(_key, pictures_in(folder)) if key.shard == shard}


# The folder of the present hour is read again and again.
_key = lru_cache(maxsize=1 << 14)(key_of)


class Shelves:
    """Pages out of the folders. Safe among threads."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._counts: dict[int, tuple[int, int]] = {}

    def page(
        self, wanted: Wanted, limit: int, offset: int = 0, after: Key | None = None
    ) -> list[Key]:
        """`limit` pictures of the instants of `wanted`, behind the newest `offset`, or `after`."""
        below = min(Key(wanted.end, 0), after or Key(wanted.end, 0))
        newest, oldest = shard_of(below.rank), shard_of(wanted.first)
        found: list[Key] = []
        for shard, folder in takewhile(lambda hour: hour[0] >= oldest, hours(self._spool)):
            if shard > newest:
                continue
            if oldest < shard < newest and offset >= (count := self._count(shard, folder)):
                offset -= count
                continue
            keys = sorted(keys_on(shard, folder), reverse=True)
            held = [key for key in keys if key.rank >= wanted.first and key < below]
            found += held[offset:]
            offset = max(0, offset - len(held))
            if len(found) >= limit:
                break
        return found[:limit]

    def _count(self, shard: int, folder: Path) -> int:
        mtime_ns = mtime_of(folder)
        known = self._counts.get(shard)
        if known is not None and known[0] == mtime_ns:
            return known[1]
        count = len(keys_on(shard, folder))
        if mtime_ns is not None and is_settled(mtime_ns):
            self._counts[shard] = (mtime_ns, count)
        return count

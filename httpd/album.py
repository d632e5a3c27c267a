"""Pages of a large gallery, without reading the names of all its pictures for each.

Pictures lie in a folder for each hour. How many a folder holds is remembered for as long as the
folder's own time stands still, so a page costs a look at each folder and the names of the few
that it shows.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from spool.gallery import PictureName, pictures_in
from spool.layout import shards

if TYPE_CHECKING:
    from spool.layout import Spool

SETTLED_SECONDS = 2.0
"""Two changes within one tick of the file system's clock leave the same time behind."""


class Album:
    """The pictures of a spool, the newest first. Safe among threads."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._counts: dict[Path, tuple[int, int]] = {}

    def page(self, limit: int, offset: int) -> tuple[list[PictureName], int]:
        """`limit` pictures behind the newest `offset`, and how many there are in all."""
        names: list[PictureName] = []
        total = 0
        for folder in shards(self._spool.gallery):
            held = self._count(folder)
            begin = offset + len(names) - total
            if begin < held and len(names) < limit:
                shown = sorted(pictures_in(folder), reverse=True)
                held = len(shown)
                names += shown[begin : begin + limit - len(names)]
            total += held
        return names, total

    def _count(self, folder: Path) -> int:
        try:
            changed_ns = folder.stat().st_mtime_ns
        except FileNotFoundError:
            self._counts.pop(folder, None)
            return 0
        known = self._counts.get(folder)
        if known is not None and known[0] == changed_ns:
            return known[1]
        count = len(pictures_in(folder))
        if time.time_ns() - changed_ns > SETTLED_SECONDS * 1e9:
            self._counts[folder] = (changed_ns, count)
        return count

"""Pages of the gallery: out of the index where it is whole, out of the folders until then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from httpd.finding import Found, Wanted, find
from httpd.index import Index, IndexKeeper
from httpd.indexing import INDEX_ERRORS, Indexer
from httpd.keys import Key, name_of
from httpd.shelves import Shelves
from httpd.sources import Source
from spool.gallery import PictureName
from spool.layout import Spool
from spool.problems import Problem
from spool.settings import Settings

START_SECONDS = 0.2
"""So long the first page may wait for the index: a small gallery is read by then."""
_STOP_SECONDS = 2.0
_LOOKS = 3
_EVERYTHING = Wanted()


@dataclass(frozen=True, slots=True)
class Page:
    """Some pictures, the newest first, each with its source where that is at hand.

    `total` is None while the index is being built, and for a search with very many hits; `last`
    is the key of the last picture if there are more behind it.
    """

    pictures: list[tuple[PictureName, Source | None]]
    total: int | None
    last: Key | None


class Album:
    """The pictures of a spool, the newest first. Safe among threads."""

    def __init__(self, spool: Spool, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._shelves = Shelves(spool)
        self._keeper = IndexKeeper(spool, settings.http.cache)
        self._indexer = Indexer(spool, self._keeper, settings.disk)

    def start(self) -> None:
        """Begin to index; waits a moment, within which a small gallery is done."""
        self._indexer.start()
        self._indexer.settled.wait(START_SECONDS)

    def stop(self) -> None:
        self._indexer.stop(_STOP_SECONDS)
        self._keeper.close()

    def note(self, names: Iterable[PictureName]) -> None:
        """These pictures came, or went: the next page takes account of it. Costs nothing."""
        self._indexer.note(names)

    def page(
        self,
        limit: int,
        offset: int = 0,
        *,
        wanted: Wanted = _EVERYTHING,
        after: Key | None = None,
    ) -> Page:
        """`limit` pictures of those `wanted`, behind the newest `offset`, or behind `after`.

        Until the index is whole, what needs it is answered from what is in it, the newest hours
        first. Raises Problem (503) where there can be no index and one is needed.
        """
        found = None
        index = self._keeper.index
        if index is None:
            self._indexer.wake()
        elif index.is_complete or wanted.needs_index:
            found = self._ask(index, wanted, limit + 1, offset, after)
        if found is None:
            found = self._without_index(wanted, limit + 1, offset, after)
        pictures = [
            (name_of(key), source) for key, source in zip(found.keys, found.sources, strict=True)
        ][:limit]
        last = found.keys[limit - 1] if len(found.keys) > limit else None
        return Page(pictures, found.total, last)

    def _ask(
        self, index: Index, wanted: Wanted, limit: int, offset: int, after: Key | None
    ) -> Found | None:
        """What the index says, once it agrees with the folders; None if it fails."""
        try:
            if not index.is_complete:
                with index.reading() as connection:
                    found = find(connection, wanted, limit, offset, after)
                return Found(found.keys, found.sources, None)
            seen = self._indexer.catch_up(index)
            for _ in range(_LOOKS):
                with index.reading() as connection:
                    found = find(connection, wanted, limit, offset, after)
                shown = {key.shard for key in found.keys} - seen
                if not self._indexer.check(index, shown):
                    break
                seen |= shown
        except INDEX_ERRORS as error:
            self._keeper.failed(index, error)
            self._indexer.wake()
            return None
        return found

    def _without_index(self, wanted: Wanted, limit: int, offset: int, after: Key | None) -> Found:
        if not wanted.needs_index:
            keys = self._shelves.page(wanted, limit, offset, after)
            return Found(keys, [None] * len(keys), None)
        if self._keeper.obstacle is not None:
            raise Problem(
                "No index",
                f"pictures cannot be searched: {self._keeper.obstacle}",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )
        return Found([], [], None)

"""Albums of a spool for tests, and what they list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from httpd.album import Album
from httpd.finding import Wanted
from httpd.terms import query_terms
from spool.gallery import PictureName
from spool.layout import Spool
from spool.settings import Settings
from tests.services import wait_for


@contextmanager
def opened(spool: Spool, settings: Settings | None = None) -> Iterator[Album]:
    """An album whose index is whole."""
    album = Album(spool, settings)
    album.start()
    try:
        wait_for(lambda: album.page(1).total is not None, what="the index")
        yield album
    finally:
        album.stop()


def names(album: Album, wanted: Wanted | None = None, limit: int = 100) -> list[PictureName]:
    page = album.page(limit, wanted=wanted or Wanted())
    return [name for name, _ in page.pictures]


def search(query: str, model: str | None = None) -> Wanted:
    return Wanted(model=model, terms=tuple(query_terms(query)))

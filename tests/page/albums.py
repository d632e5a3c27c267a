"""Galleries of many pictures, most of them links to the same two files."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from spool import ids
from spool.gallery import PictureName
from spool.layout import Spool
from tests.httpd.stand_in import picture_bytes

_LINKS = 30_000
"""ext4 gives a file 65,000 names at most."""
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def fill(spool: Spool, count: int, *, seconds_apart: float = 1.0) -> list[PictureName]:
    """Put `count` pictures into the gallery of `spool`; their names, the oldest first."""
    picture, thumbnail = spool.tmp / "one.png", spool.tmp / "one.webp"
    names = []
    folder = None
    for number in range(count):
        if number % _LINKS == 0:
            picture.unlink(missing_ok=True)
            thumbnail.unlink(missing_ok=True)
            picture.write_bytes(picture_bytes("PNG", (48, 32)))
            thumbnail.write_bytes(picture_bytes("WEBP", (24, 16)))
        instant = _BEGIN + timedelta(seconds=number * seconds_apart)
        name = PictureName(ids.at(int(instant.timestamp() * 1000)), 0)
        if name.picture(spool).parent != folder:
            folder = name.picture(spool).parent
            folder.mkdir(parents=True, exist_ok=True)
        os.link(picture, name.picture(spool))
        os.link(thumbnail, name.thumbnail(spool))
        names.append(name)
    return names

"""Where a picture stands in the gallery's order, as two integers, and cursors made of them.

The order is that of names: by job id, then by index. A job id is an instant of 49 bits
(milliseconds since the year 1) and 24 random bits. The instant and the upper 15 of the random
bits are the `rank`, a signed integer of 64 bits: what SQLite takes for a row's id, and what FTS5
walks through in order. The lower 9 bits, the picture's index and its format are the `tail`.
"""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from spool import ids
from spool.gallery import PictureName
from spool.picture_files import PictureFormat

HOUR_MS = 3_600_000
FIRST_RANK, LAST_RANK = -(1 << 63), (1 << 63) - 1
CURSOR_PATTERN = "^[A-Za-z0-9_-]{16}$"

_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
_YEAR_ONE_MS = -62_135_596_800_000
_LAST_MS = 253_402_300_799_999
_FORMATS = (PictureFormat.PNG, PictureFormat.WEBP, PictureFormat.JPEG)
_CURSOR = struct.Struct(">QI")


class Key(NamedTuple):
    """The place of one picture; keys compare as pictures were asked for."""

    rank: int
    tail: int

    @property
    def job_bits(self) -> int:
        """What of the job's id is in the tail: with the rank it identifies the job."""
        return self.tail >> 12

    @property
    def shard(self) -> int:
        """The hour of the job, counted from the year 1."""
        return shard_of(self.rank)


def key_of(name: PictureName) -> Key:
    random = int(name.job_id[-6:], 16)
    rank = rank_at(ids.created_ms(name.job_id)) + (random >> 9)
    return Key(rank, (random & 0x1FF) << 12 | name.index << 2 | _FORMATS.index(name.format))


def name_of(key: Key) -> PictureName:
    """The name whose key is `key`. Raises ValueError if no picture has it."""
    instant, random = divmod(key.rank - FIRST_RANK, 1 << 15)
    at = _YEAR_ONE + timedelta(milliseconds=instant)
    stamp = f"{at.year:04}{at:%m%dT%H%M%S}{instant % 1000:03}"
    job_id = f"{stamp}-{random << 9 | key.job_bits:06x}"
    try:
        return PictureName(job_id, key.tail >> 2 & 0x3FF, _FORMATS[key.tail & 3])
    except IndexError:
        raise ValueError(f"{key} is the key of no picture") from None


def rank_at(milliseconds: int) -> int:
    """The least rank of a job of that instant, in milliseconds since 1970."""
    return (min(max(milliseconds, _YEAR_ONE_MS), _LAST_MS + 1) - _YEAR_ONE_MS << 15) + FIRST_RANK


def shard_of(rank: int) -> int:
    return (rank - FIRST_RANK >> 15) // HOUR_MS


def first_rank(shard: int) -> int:
    """The least rank in the hour `shard`."""
    return (shard * HOUR_MS << 15) + FIRST_RANK


def shard_in(day: str, hour: str) -> int | None:
    """The hour whose folder is gallery/<day>/<hour>; None if that is no such folder."""
    try:
        at = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), int(hour), tzinfo=UTC)
    except ValueError:
        return None
    # int() takes "+1", "1_0" and digits of every script.
    canonical = f"{at.year:04}{at:%m%d/%H}" == f"{day}/{hour}"
    return (at - _YEAR_ONE) // timedelta(hours=1) if canonical else None


def folder_of(shard: int) -> str:
    """The folder of the hour `shard` in gallery/."""
    at = _YEAR_ONE + timedelta(hours=shard)
    return f"{at.year:04}{at:%m%d/%H}"


def encode_cursor(key: Key) -> str:
    """`key` as 16 characters that are safe in a URL."""
    packed = _CURSOR.pack(key.rank - FIRST_RANK, key.tail)
    return base64.urlsafe_b64encode(packed).decode()


def decode_cursor(text: str) -> Key:
    """The key in a cursor that matches CURSOR_PATTERN: each such text is a place in the order."""
    rank, tail = _CURSOR.unpack(base64.urlsafe_b64decode(text))
    return Key(rank + FIRST_RANK, tail)

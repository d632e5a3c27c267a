"""Finished pictures: gallery/<YYYYMMDD>/<HH>/<job_id>-<n>.png, a WebP thumbnail beside each.

A name is made from the job id, the picture's index and its format (.png, .webp or .jpg), and
given without replacing, whatever format holds the index already: a second run of a job after a
crash finds its pictures there, even where the configured format has changed meanwhile, so no
result shows twice. The name alone says where the file lies, and newest-first order is the order
of names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from spool import durable, ids
from spool.layout import Spool, shards
from spool.picture_files import BY_EXTENSION, PictureFormat
from spool.sweeping import Folder, opened

_NAME = re.compile(rf"({ids.PATTERN})-(0|[1-9]\d{{0,2}})\.({'|'.join(BY_EXTENSION)})", re.ASCII)
_THUMBNAIL = ".thumb.webp"


@dataclass(frozen=True, slots=True, order=True)
class PictureName:
    """The name of a picture; `index` counts from 0. Orders as the pictures were asked for."""

    job_id: str
    index: int
    format: PictureFormat = PictureFormat.PNG

    @classmethod
    def parse(cls, filename: str) -> Self | None:
        """The parts of `filename`, or None if it is no picture's. Never a path."""
        match = _NAME.fullmatch(filename)
        if match is None or not ids.is_job_id(match[1]):
            return None
        return cls(match[1], int(match[2]), BY_EXTENSION[match[3]])

    @classmethod
    def of_thumbnail(cls, filename: str) -> Self | None:
        """A picture that the thumbnail `filename` may belong to, or None if it is no thumbnail's.

        The name of a thumbnail does not tell the format of its picture.
        """
        stem = filename.removesuffix(_THUMBNAIL)
        return None if stem == filename else cls.parse(f"{stem}.{PictureFormat.PNG.extension}")

    @property
    def stem(self) -> str:
        """The name without its extension: the same in every format."""
        return f"{self.job_id}-{self.index}"

    def __str__(self) -> str:
        return f"{self.stem}.{self.format.extension}"

    def picture(self, spool: Spool) -> Path:
        return spool.gallery / ids.shard(self.job_id) / str(self)

    def thumbnail(self, spool: Spool) -> Path:
        return self.picture(spool).with_name(f"{self.stem}{_THUMBNAIL}")


def published_name(spool: Spool, job_id: str, index: int) -> PictureName | None:
    """The name, hence the format, in which picture `index` of a job is in the gallery, if it is."""
    names = (PictureName(job_id, index, each) for each in PictureFormat)
    return next((name for name in names if name.picture(spool).exists()), None)


def publish_picture(spool: Spool, name: PictureName, picture: bytes, thumbnail: bytes) -> bool:
    """Publish a picture durably, its thumbnail first; False if it was published before.

    In whatever format: the look at the other formats and the new name are two steps, between
    which nobody else can publish, since a job never runs twice at once.
    """
    folder = name.picture(spool).parent

    def publish() -> bool:
        with durable.scratch_file(spool.tmp, thumbnail, durable=True) as temporary:
            durable.link(temporary, name.thumbnail(spool))
        path = (published_name(spool, name.job_id, name.index) or name).picture(spool)
        # Its sync of the folder makes both names durable.
        return durable.publish(path, picture, scratch=spool.tmp)

    return durable.within_directory(folder, publish, within=spool.gallery)


def remove_picture(spool: Spool, name: PictureName) -> bool:
    """Remove a picture durably, and its thumbnail behind it; False if there is no such picture.

    A crash in between leaves a thumbnail that nothing shows, which the next call removes. Not for
    a job that has a ticket: it would render the picture again.
    """
    path = name.picture(spool)
    with suppress(FileNotFoundError, NotADirectoryError), opened(spool.gallery) as gallery:
        for day in gallery.folders(path.parent.parent.name.__eq__):
            for hour in day.folders(path.parent.name.__eq__):
                return _remove_from(hour, spool, name)
    return False


def _remove_from(hour: Folder, spool: Spool, name: PictureName) -> bool:
    found = hour.file(str(name)) is not None
    if found:
        os.unlink(str(name), dir_fd=hour.descriptor)
    # Another format may hold the index; then the thumbnail is that one's.
    if published_name(spool, name.job_id, name.index) is None:
        with suppress(FileNotFoundError):
            os.unlink(name.thumbnail(spool).name, dir_fd=hour.descriptor)
    os.fsync(hour.descriptor)
    return found


def newest_first(spool: Spool) -> Iterator[PictureName]:
    """All pictures, the newest job's first and a job's last picture first.

    Reads one hour's folder at a time, so the first page of a large gallery is cheap.
    """
    for folder in shards(spool.gallery):
        yield from sorted(pictures_in(folder), reverse=True)


def pictures_in(folder: Path) -> list[PictureName]:
    """The pictures in one hour's `folder`, in no order."""
    try:
        return list(filter(None, map(PictureName.parse, os.listdir(folder))))
    except (FileNotFoundError, NotADirectoryError):
        return []

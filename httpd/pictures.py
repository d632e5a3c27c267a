"""What is told of a picture: where it lies, its size, and what it was made from."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from httpd.bodies import Picture
from httpd.files import open_regular
from httpd.links import image_links
from httpd.sources import UNKNOWN, Source, source_of
from spool import ids
from spool.gallery import PictureName
from spool.layout import Spool
from spool.picture_files import NotAPicture, size_px

_REMEMBERED_JOBS = 1000


class Pictures:
    """Describes pictures. Safe among threads. What never changes is remembered."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._jobs: OrderedDict[str, Source] = OrderedDict()

    def picture(self, name: PictureName, source: Source | None = None) -> Picture:
        """The picture `name`, made from `source` where the caller knows that already.

        What its cleaned-away record would say is left out.
        """
        source = source or self._source(name)
        width, height = source.sizes.get(name.index) or self._size_in_file(name)
        return Picture(
            id=name.stem,
            filename=str(name),
            job_id=name.job_id,
            **image_links(str(name)),
            width=width,
            height=height,
            created_at=ids.created_at(name.job_id),
            metadata=source.metadata(name.index),
        )

    def _source(self, name: PictureName) -> Source:
        source = self._jobs.get(name.job_id) or source_of(self._spool, name)
        # Should a record come after all, the gallery's index notices.
        if source.is_final or source is UNKNOWN:
            self._jobs[name.job_id] = source
            while len(self._jobs) > _REMEMBERED_JOBS:
                self._jobs.popitem(last=False)
        return source

    def _size_in_file(self, name: PictureName) -> tuple[int, int]:
        """The size that the file's header states; (0, 0) if it cannot be read."""
        file = open_regular(name.picture(self._spool))
        if file is None:
            return (0, 0)
        with file, suppress(OSError, NotAPicture):
            return size_px(file)
        return (0, 0)

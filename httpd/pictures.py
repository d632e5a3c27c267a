"""What is told of a picture: where it lies, its size, and what it was made from."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from httpd.bodies import Picture
from httpd.files import open_regular
from httpd.links import image_links
from spool import ids
from spool.gallery import PictureName
from spool.layout import Spool
from spool.picture_files import NotAPicture, size_px
from spool.records import Record, read_record
from spool.states import find
from spool.tickets import Ticket

_REMEMBERED_JOBS = 1000


@dataclass(frozen=True, slots=True)
class _Source:
    """What is known of a picture's job: `settings` decided the pictures, `seed` the first one."""

    settings: dict[str, Any]
    seed: int | None
    sizes: dict[int, tuple[int, int]]


class Pictures:
    """Describes pictures, from their job's record or, while the job runs, from its ticket.

    Safe among threads. Records never change and are remembered.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._jobs: OrderedDict[str, _Source] = OrderedDict()

    def picture(self, name: PictureName) -> Picture:
        """The picture `name`; what its cleaned-away record would say is left out."""
        source = self._source(name.job_id)
        width, height = source.sizes.get(name.index) or self._size_in_file(name)
        return Picture(
            id=name.stem,
            filename=str(name),
            job_id=name.job_id,
            **image_links(str(name)),
            width=width,
            height=height,
            created_at=ids.created_at(name.job_id),
            metadata=_metadata(source, name.index),
        )

    def _source(self, job_id: str) -> _Source:
        known = self._jobs.get(job_id)
        if known is not None:
            return known
        # Twice, since a job may finish between the looks at its record and at its ticket.
        for _ in range(2):
            record = self._record(job_id)
            if record is not None:
                return self._remember(job_id, _of_record(record))
            ticket = self._ticket(job_id)
            if ticket is not None:
                return _of_ticket(ticket)
        # Its record was cleaned away, and none will come again.
        return self._remember(job_id, _Source({}, None, {}))

    def _remember(self, job_id: str, source: _Source) -> _Source:
        self._jobs[job_id] = source
        while len(self._jobs) > _REMEMBERED_JOBS:
            self._jobs.popitem(last=False)
        return source

    def _record(self, job_id: str) -> Record | None:
        try:
            return read_record(self._spool, job_id)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _ticket(self, job_id: str) -> Ticket | None:
        found = find(self._spool, job_id)
        try:
            return Ticket.decode(found.path.read_bytes()) if found else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _size_in_file(self, name: PictureName) -> tuple[int, int]:
        """The size that the file's header states; (0, 0) if it cannot be read."""
        file = open_regular(name.picture(self._spool))
        if file is None:
            return (0, 0)
        with file, suppress(OSError, NotAPicture):
            return size_px(file)
        return (0, 0)


def _of_ticket(ticket: Ticket) -> _Source:
    if ticket.job is None:
        settings = ticket.request.model_dump(mode="json", exclude_unset=True)
    else:
        settings = ticket.job.model_dump(mode="json")
    return _Source(settings, ticket.seed, {})


def _of_record(record: Record) -> _Source:
    settings = {**(record.job or record.request)}
    for key in ("device", "dtype", "seconds"):
        if key in record.render:
            settings[key] = record.render[key]
    sizes = {image.index: (image.width, image.height) for image in record.images}
    return _Source(settings, record.seed, sizes)


def _metadata(source: _Source, index: int) -> dict[str, Any]:
    """What decided this one picture, in the words of a request."""
    left_out = {"count", "priority", "seed"}
    metadata = {key: value for key, value in source.settings.items() if key not in left_out}
    if source.seed is not None:
        metadata["seed"] = source.seed + index
    return metadata

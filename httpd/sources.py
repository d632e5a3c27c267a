"""What a job's pictures were made from: its record says it, its ticket, or a picture itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from httpd.files import open_regular
from spool.gallery import PictureName
from spool.layout import Spool
from spool.picture_files import NotAPicture
from spool.picture_metadata import read_metadata
from spool.records import Record, read_record
from spool.states import find
from spool.tickets import Ticket


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of a job: `settings` decided its pictures, `seed` the first of them.

    `sizes` are width and height in pixels by index, as far as they are known. One that
    `is_final` never changes again.
    """

    settings: dict[str, Any]
    seed: int | None
    sizes: dict[int, tuple[int, int]]
    is_final: bool = True

    @property
    def prompt(self) -> str:
        return str(self.settings.get("prompt") or "")

    @property
    def model(self) -> str:
        """The name of the model; empty where it is not known."""
        return str(self.settings.get("model") or "")

    def metadata(self, index: int) -> dict[str, Any]:
        """What decided this one picture, in the words of a request."""
        left_out = {"count", "priority", "seed"}
        metadata = {key: value for key, value in self.settings.items() if key not in left_out}
        if self.seed is not None:
            metadata["seed"] = self.seed + index
        return metadata

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` wrote. Raises ValueError, KeyError or TypeError if it is not that."""
        document = json.loads(text)
        document["sizes"] = {
            int(index): (width, height) for index, (width, height) in document["sizes"].items()
        }
        return cls(**document)


UNKNOWN = Source({}, None, {}, is_final=False)
"""Of a job that has no record, perhaps not yet, and whose pictures say nothing of themselves."""


def source_of(spool: Spool, name: PictureName) -> Source:
    """What is known of the job of the picture `name`.

    Its record may be cleaned away, or come out of a backup behind the picture; then the picture
    says it.
    """
    # Twice, since a job may finish between the looks at its record and at its ticket.
    for _ in range(2):
        source = _of_its_record(spool, name.job_id)
        if source is not None:
            return source
        ticket = _ticket(spool, name.job_id)
        if ticket is not None:
            return _of_ticket(ticket)
    return _of_its_file(spool, name) or UNKNOWN


def _of_its_file(spool: Spool, name: PictureName) -> Source | None:
    file = open_regular(name.picture(spool))
    if file is None:
        return None
    with file:
        try:
            told = read_metadata(file).job
            if told is None or told["job_id"] != name.job_id:
                return None
            settings = _settings(told["job"], told["render"])
            return Source(settings, int(told["seed"]) - name.index, {})
        except (OSError, NotAPicture, ValueError, TypeError, KeyError):
            return None


def _of_its_record(spool: Spool, job_id: str) -> Source | None:
    try:
        record = read_record(spool, job_id)
        return None if record is None else _of_record(record)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # someone has edited it


def _ticket(spool: Spool, job_id: str) -> Ticket | None:
    found = find(spool, job_id)
    try:
        return Ticket.decode(found.path.read_bytes()) if found else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _of_ticket(ticket: Ticket) -> Source:
    if ticket.job is None:
        settings = ticket.request.model_dump(mode="json", exclude_unset=True)
    else:
        settings = ticket.job.model_dump(mode="json")
    return Source(settings, ticket.seed, {}, is_final=False)


def _of_record(record: Record) -> Source:
    settings = _settings(record.job or record.request, record.render)
    sizes = {int(image.index): (int(image.width), int(image.height)) for image in record.images}
    return Source(settings, int(record.seed), sizes)


def _settings(job: dict[str, Any], render: dict[str, Any]) -> dict[str, Any]:
    return {**job, **{key: render[key] for key in ("device", "dtype", "seconds") if key in render}}

"""The record of a finished job, done/<YYYYMMDD>/<HH>/<job_id>.json, written once."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from spool import durable, ids
from spool.layout import Spool, shards
from spool.states import Status

FORMAT = 1


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """One picture of a job; `seed` is its own, `sha256` that of the file."""

    filename: str
    index: int
    seed: int
    width: int
    height: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """How a job ended. Instants are ISO 8601, UTC; `error` is a problem's JSON.

    `request` is what was asked, `job` what was rendered (None if it never came to that),
    `render` what is needed to render it again: software, device, dtype, seconds.
    """

    job_id: str
    status: Status
    created_at: str
    started_at: str | None
    finished_at: str
    starts: int
    slot: str | None
    origin: str
    owner_uid: int
    drop_name: str | None
    request: dict[str, Any]
    seed: int
    job: dict[str, Any] | None
    images: tuple[PictureRecord, ...] = ()
    error: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    render: dict[str, Any] = field(default_factory=dict)
    retry_of: str | None = None

    def encode(self) -> bytes:
        # Not asdict of the whole, which copies request and job to their leaves.
        document = {"format": FORMAT} | {f.name: getattr(self, f.name) for f in fields(self)}
        document["images"] = [asdict(image) for image in self.images]
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a record. Raises ValueError, TypeError or KeyError if it is not one of ours.

        Fields that a later genzo has added are passed over.
        """
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError("unknown format of record")
        known = {f.name: document[f.name] for f in fields(cls) if f.name in document}
        known["images"] = tuple(PictureRecord(**image) for image in document["images"])
        known["warnings"] = tuple(document["warnings"])
        known["status"] = Status(document["status"])
        return cls(**known)


def publish_record(spool: Spool, record: Record) -> Record:
    """Publish `record` durably, or return the one that the job has already: the first wins."""
    path = spool.record(record.job_id)
    data = record.encode()
    publish = functools.partial(durable.publish, path, data, scratch=spool.tmp)
    if durable.within_directory(path.parent, publish, within=spool.done):
        return record
    return Record.decode(path.read_bytes())


def read_record(spool: Spool, job_id: str) -> Record | None:
    """The record of `job_id`, or None if it is not finished (or was cleaned away)."""
    try:
        return Record.decode(spool.record(job_id).read_bytes())
    except FileNotFoundError:
        return None


def newest_first(spool: Spool, before: str | None = None) -> Iterator[str]:
    """The ids of the jobs that have a record, the newest job's first; those older than `before`.

    Reads one hour's folder at a time, so the first few of many are cheap.
    """
    latest = None if before is None else spool.done / ids.shard(before)
    for folder in shards(spool.done):
        if latest is not None and folder > latest:
            continue
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if before is not None and folder == latest:
            names = [name for name in names if name < f"{before}.json"]
        # Sorted before they are looked at closely: an hour may hold a hundred thousand.
        names.sort(reverse=True)
        stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        yield from filter(ids.is_job_id, stems)

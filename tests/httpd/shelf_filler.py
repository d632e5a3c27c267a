"""Finished pictures laid into a spool without rendering: files, and the records of their jobs."""

from __future__ import annotations

import os
import time
from typing import Any

from spool import ids
from spool.gallery import PictureName
from spool.layout import Spool
from spool.records import PictureRecord, Record
from spool.states import Status
from tests.httpd.stand_in import picture_bytes

HOUR_MS = 3_600_000
LONG_AGO_MS = 1_700_000_000_000

_PICTURE, _THUMBNAIL = picture_bytes("PNG"), picture_bytes("WEBP", (16, 12))


def add(
    spool: Spool, instant_ms: int, prompt: str = "a red circle", model: str = "tiny", count: int = 1
) -> list[PictureName]:
    """The pictures of a job of that instant, the first one first."""
    job_id = ids.at(instant_ms)
    names = [PictureName(job_id, index) for index in range(count)]
    for name in names:
        lay(spool, name)
    write_record(spool, job_id, names, prompt=prompt, model=model)
    return names


def lay(spool: Spool, name: PictureName) -> None:
    """A picture and its thumbnail, without a record."""
    path = name.picture(spool)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_PICTURE)
    name.thumbnail(spool).write_bytes(_THUMBNAIL)


def write_record(spool: Spool, job_id: str, names: list[PictureName], **job: Any) -> None:
    images = [PictureRecord(str(n), n.index, 7 + n.index, 32, 24, 1, "") for n in names]
    job |= {"seed": 7, "steps": 20}
    path = spool.record(job_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(completed(job_id, ids.created_at(job_id), job, *images).encode())


def completed(job_id: str, at: str, job: dict[str, Any], *images: PictureRecord) -> Record:
    """The record of a job over HTTP that came, ran and ended `at` one instant."""
    return Record(
        job_id=job_id,
        status=Status.COMPLETED,
        created_at=at,
        started_at=at,
        finished_at=at,
        starts=1,
        slot="0",
        origin="http",
        owner_uid=0,
        drop_name=None,
        request={"prompt": job["prompt"]},
        seed=job["seed"],
        job=job,
        images=images,
    )


def settle(spool: Spool) -> None:
    """Make every folder look as if it had not changed for a while."""
    for folder in spool.gallery.glob("*/*"):
        os.utime(folder, (time.time() - 60, time.time() - 60))

"""How old each kind of thing may grow, and what makes one file of a spool removable."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from spool import durable
from spool.drops import MAX_FOLDERS
from spool.gallery import PictureName
from spool.ids import created_ms, is_job_id
from spool.layout import Spool
from spool.locks import lock
from spool.outgoing import PROBLEM, RESULT
from spool.records import FORMAT
from spool.rejections import REPORT_SUFFIX
from spool.settings import KeepSettings
from spool.sweeping import Broom, Folder, opened

GRACE_SECONDS = 60.0
"""What is younger may belong to a job that was accepted since we looked."""
LEFTOVER_SECONDS = 86_400.0
"""What a crash left without a meaning is removed when it is older."""

_OUTGOING_DEPTH = MAX_FOLDERS + 2  # the drop's folders, its own name, the job's id
_LIVE_SUFFIXES = frozenset({"jsonl", "jpg", "cancel"})
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEYS = re.compile(r"[0-9a-f]{2}", re.ASCII)
_DAY = re.compile(r"\d{8}", re.ASCII)
_HOUR = re.compile(r"\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class House:
    """One clean: what it found at its beginning, and its broom. `now` is in seconds since 1970."""

    spool: Spool
    keep: KeepSettings
    now: float
    unfinished: frozenset[str]
    broom: Broom

    def before(self, age_seconds: float) -> float:
        """The instant before which things of that age were made, in seconds since 1970."""
        return self.now - max(age_seconds, GRACE_SECONDS)

    def is_settled(self, status: os.stat_result) -> bool:
        """Whether a file is older than our look at the unfinished jobs."""
        return status.st_mtime < self.before(0)

    def admissions(self) -> AbstractContextManager[object]:
        """The lock under which keys and refused files change."""
        return contextlib.nullcontext() if self.broom.dry_run else lock(self.spool, "admissions")

    def due_shards(self, tree: Path, before: float) -> Iterator[Folder]:
        """The folders YYYYMMDD/HH of ids earlier than `before`; those left empty go, not today's.

        Days that are too young are not opened. Each folder is open until the next is asked for.
        """
        newest = time.strftime("%Y%m%dT%H", time.gmtime(before))
        today = time.strftime("%Y%m%d", time.gmtime(self.now))
        with opened(tree) as top:
            for day in top.folders(lambda name: _DAY.fullmatch(name) and name <= newest[:8]):
                date = day.path.name
                for hour in day.folders(_HOUR.fullmatch):
                    if f"{date}T{hour.path.name}" <= newest:
                        yield hour
                        if date < today:
                            self.broom.remove_directory(day, hour.path.name)
                if date < today:
                    self.broom.remove_directory(top, date)

    def remove_by_id(self, folder: Folder, name: str, job_id: str, before: float) -> None:
        """Remove a job's file if the job is finished and its id is earlier than `before`."""
        if job_id in self.unfinished or created_ms(job_id) >= before * 1000:
            return
        status = folder.file(name)
        if status is not None and self.is_settled(status):
            self.broom.remove(folder, name, status)

    def emptied(self, outer: Folder) -> Iterator[Folder]:
        """The folders in `outer`; those from which all went while they were handed out go too,
        and those that are empty since a day: a crash leaves them."""
        for inner in outer.folders():
            old = os.fstat(inner.descriptor).st_mtime < self.before(LEFTOVER_SECONDS)
            files = self.broom.files
            yield inner
            if old or self.broom.files > files:
                with self.admissions():
                    self.broom.remove_directory(outer, inner.path.name)


def sweep_gallery(house: House) -> None:
    """Remove the pictures, and their thumbnails, of ids that are too old."""
    if house.keep.gallery is None:
        return
    before = house.before(house.keep.gallery)
    for folder in house.due_shards(house.spool.gallery, before):
        # A picture goes before its thumbnail, as it came after it.
        for name in sorted(folder.names(), key=_is_thumbnail):
            picture = PictureName.parse(name) or PictureName.of_thumbnail(name)
            if picture is not None:
                house.remove_by_id(folder, name, picture.job_id, before)


def _is_thumbnail(name: str) -> bool:
    return PictureName.of_thumbnail(name) is not None


def sweep_records(house: House) -> None:
    """Remove the records of ids that are too old."""
    if house.keep.records is None:
        return
    before = house.before(house.keep.records)
    for folder in house.due_shards(house.spool.done, before):
        for name in folder.names():
            job_id = name.removesuffix(".json")
            if job_id != name and is_job_id(job_id):
                house.remove_by_id(folder, name, job_id, before)


def sweep_outgoing(house: House) -> None:
    """Remove the results of jobs that ended too long ago; what else lies there stays."""
    if house.keep.outgoing is not None:
        with opened(house.spool.outgoing) as folder:
            _results_in(house, folder, house.before(house.keep.outgoing), _OUTGOING_DEPTH)


def _results_in(house: House, folder: Folder, before: float, depth: int) -> None:
    if depth > 0:
        for inner in house.emptied(folder):
            _results_in(house, inner, before, depth - 1)
    job_id = folder.path.name
    result = folder.file(RESULT)
    # It is a link to the record, or a copy made at once: its time is the end of the job.
    if result is None:
        _refusal_in(house, folder, before)
        return
    if result.st_mtime >= before:
        return
    if not is_job_id(job_id) or job_id in house.unfinished:
        return
    for name in folder.names():
        status = folder.file(name) if _is_delivered(name, job_id) else None
        if status is not None:
            house.broom.remove(folder, name, status)
    # Last, since it is what a next clean knows the folder by.
    house.broom.remove(folder, RESULT, result)


def _refusal_in(house: House, folder: Folder, before: float) -> None:
    """Remove what says in a drop's folder that it was refused."""
    if not is_job_id(folder.path.name):
        problem = folder.file(PROBLEM)
        if problem is not None and problem.st_mtime < before:
            house.broom.remove(folder, PROBLEM, problem)


def _is_delivered(name: str, job_id: str) -> bool:
    picture = PictureName.parse(name)
    ours = picture is not None and picture.job_id == job_id
    return ours or name in {"SHA256SUMS", PROBLEM} or durable.is_scratch(name)


def sweep_live(house: House) -> None:
    """Remove the sidecars of jobs that ended long enough ago, and those that crashes left."""
    with opened(house.spool.live) as folder:
        names = (name for name in folder.names() if _is_sidecar(name))
        for job_id, sidecars in itertools.groupby(names, key=lambda name: name.partition(".")[0]):
            if job_id in house.unfinished:
                continue
            ended = _record_time(house.spool, job_id)
            for name in sidecars:
                status = folder.file(name)
                if status is not None and _is_stale(house, status, ended):
                    house.broom.remove(folder, name, status)


def _is_sidecar(name: str) -> bool:
    job_id, _, suffix = name.partition(".")
    return suffix in _LIVE_SUFFIXES and is_job_id(job_id)


def _record_time(spool: Spool, job_id: str) -> float | None:
    try:
        return spool.record(job_id).lstat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_stale(house: House, status: os.stat_result, ended: float | None) -> bool:
    """Whether a finished job's sidecar may go; `ended` is when its record was written.

    Without a record it was cleaned away, or a crash came between the drawing of the id and the
    acceptance; the latter leaves an empty file.
    """
    keep = house.keep.live
    if ended is not None:
        return keep is not None and ended < house.before(keep)
    if keep is None and status.st_size:
        return False
    return status.st_mtime < house.before(max(LEFTOVER_SECONDS, keep or 0))


def sweep_keys(house: House) -> None:
    """Remove the keys that were last seen too long ago."""
    if house.keep.keys is None:
        return
    before = house.before(house.keep.keys)
    with opened(house.spool.seen) as seen:
        for folder in seen.folders(_KEYS.fullmatch):
            for name in filter(_KEY.fullmatch, folder.names()):
                if not _is_forgotten(house, folder, name, before):
                    continue
                with house.admissions():
                    status = _is_forgotten(house, folder, name, before)
                    if status is not None:
                        house.broom.remove(folder, name, status)


def _is_forgotten(house: House, folder: Folder, name: str, before: float) -> os.stat_result | None:
    """The status of a key that was not seen since `before` and whose job is over, else None."""
    status = folder.file(name)
    if status is None or status.st_mtime >= before:
        return None
    try:
        document = json.loads(folder.read(name))
        ours = document["format"] == FORMAT
        # Of no job at all are refusals and orders.
        apart = "rejection" in document or "order" in document
        over = apart or document["job_id"] not in house.unfinished
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # what we do not understand is not ours to remove
    return status if ours and over else None


def sweep_rejected(house: House) -> None:
    """Remove the refused files, and their reports, that are too old."""
    if house.keep.rejected is not None:
        with opened(house.spool.rejected) as folder:
            _refusals_in(house, folder, house.before(house.keep.rejected), MAX_FOLDERS)


def _refusals_in(house: House, folder: Folder, before: float, depth: int) -> None:
    if depth > 0:
        for inner in house.emptied(folder):
            _refusals_in(house, inner, before, depth - 1)
    names = set(folder.names())
    for report in sorted(names):
        # A refused file may itself be called so; then its own report says how old it is.
        if not report.endswith(REPORT_SUFFIX) or f"{report}{REPORT_SUFFIX}" in names:
            continue
        with house.admissions():
            status = folder.file(report)
            if status is None or status.st_mtime >= before:
                continue
            refused = report.removesuffix(REPORT_SUFFIX)
            file = folder.file(refused)
            if file is not None:
                house.broom.remove(folder, refused, file)
            # Behind the file, which nothing would be known of without it.
            house.broom.remove(folder, report, status)


def sweep_tmp(house: House) -> None:
    """Remove what crashes left in tmp/."""
    with opened(house.spool.tmp) as folder:
        for name in folder.names():
            status = folder.file(name)
            if status is not None and status.st_mtime < house.before(LEFTOVER_SECONDS):
                house.broom.remove(folder, name, status)

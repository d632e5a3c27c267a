"""What is kept: records and their pictures, the feed, scratch files, and whose files they are."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from spool import records
from spool.checks.findings import Finding, error, few, identity, note, warning
from spool.gallery import PictureName
from spool.ids import created_ms
from spool.layout import Spool
from spool.records import Record
from spool.retention import LEFTOVER_SECONDS
from spool.settings import Settings

_NEWEST = 1000
_SAMPLED = 1000


def newest_records(spool: Spool, settings: Settings) -> Iterator[Finding]:
    """Whether the newest records can be read, and their pictures are there."""
    yield from few(_faults_of_records(spool, settings.keep.gallery), spool.done)


def _faults_of_records(spool: Spool, keep_seconds: float | None) -> Iterator[Finding]:
    for job_id in itertools.islice(records.newest_first(spool), _NEWEST):
        path = spool.record(job_id)
        try:
            record = Record.decode(path.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            yield warning(
                path,
                f"cannot be read: {type(fault).__name__}: {fault}",
                "restore it from a backup, or remove it; its pictures are in gallery/ all the same",
            )
            continue
        if keep_seconds is None or created_ms(job_id) / 1000 > time.time() - keep_seconds:
            yield from _missing_pictures(spool, record)


def _missing_pictures(spool: Spool, record: Record) -> Iterator[Finding]:
    for image in record.images:
        name = PictureName.parse(image.filename)
        if name is not None and not name.picture(spool).exists():
            yield warning(
                name.picture(spool),
                "is gone, though its record names it",
                f"rendered again with its seed, {image.seed}, it is the same: genzo show "
                f"{record.job_id}",
            )


def feed(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether the feed can be read, from which the gallery's stream is told of pictures."""
    remedy = f"remove it; it begins anew with the next picture: rm {spool.feed}"
    try:
        lines = spool.feed.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as fault:
        yield warning(spool.feed, f"cannot be read: {fault.strerror}", remedy)
        return
    bad = sum(1 for line in lines if line and not _is_object(line))
    if bad:
        yield note(spool.feed, f"has {bad} line(s) that cannot be read; readers pass over them")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def scratch(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """How many files crashes left in tmp/."""
    limit = time.time() - LEFTOVER_SECONDS
    old = [path for path in spool.tmp.iterdir() if path.lstat().st_mtime < limit]
    if old:
        yield note(
            spool.tmp,
            f"holds {len(old)} file(s) that crashes left, such as {old[0].name}",
            "genzo clean removes them",
        )


def owners(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether files of another user are in the daemon's way."""
    owner = spool.root.stat().st_uid
    if owner != 0:  # root is stopped by none
        yield from few(_strangers(spool, owner), spool.root)


def _strangers(spool: Spool, owner: int) -> Iterator[Finding]:
    for tree in (spool.work, spool.slots, spool.locks):
        files = (Path(folder, name) for folder, _, names in os.walk(tree) for name in names)
        for path in itertools.islice(files, _SAMPLED):
            try:
                uid = path.lstat().st_uid
            except FileNotFoundError:
                continue
            if uid != owner:
                yield error(
                    path,
                    f"belongs to {identity(uid)}, the spool to {identity(owner)}: the daemon "
                    "cannot work with it",
                    f"chown {owner} {path}",
                )

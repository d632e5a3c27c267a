"""`genzo clean`: what is older than [keep] says goes; nothing of an unfinished job, ever.

A job is unfinished while it has a ticket anywhere or an intent in seen/pending/. Those ids are
collected once, before anything is removed. A job that is accepted afterwards has only files that
are younger than that, and what is younger than a minute stays, whatever [keep] says.

The record of a job goes last, behind its pictures, results, sidecars and key. While it is there,
no new job can be given its id and take up its pictures, and the next clean knows from it when
the job ended. So a kill leaves at worst a record whose pictures are gone, and the next clean
removes that too. Where [keep] says so either is kept without the other: the gallery needs no
records, and a record tells of pictures that were.

Two things are looked at again under locks/admissions.lock before they go: a key, which may just
have been seen again, and a refused file, which may just have been refused again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from filelock import Timeout

from spool import retention
from spool.layout import Spool
from spool.locks import lock
from spool.presence import Presence
from spool.problems import SpoolError
from spool.retention import House
from spool.settings import KeepSettings
from spool.states import unfinished_job_ids
from spool.sweeping import Broom, Tally

_KINDS = {
    "gallery": retention.sweep_gallery,
    "outgoing": retention.sweep_outgoing,
    "live": retention.sweep_live,
    "keys": retention.sweep_keys,
    "rejected": retention.sweep_rejected,
    "tmp": retention.sweep_tmp,
    "records": retention.sweep_records,
}


class CleanBusy(SpoolError):
    """Another process cleans this spool."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed of each kind, or would be, and what could not be and why."""

    tallies: tuple[Tally, ...]
    obstacles: tuple[str, ...]


def clean(
    spool: Spool, keep: KeepSettings, *, dry_run: bool = False, now_seconds: float | None = None
) -> Cleaned:
    """Remove what is older than `keep` says. May be killed at any line and begun again.

    With `dry_run` nothing changes, and no lock is taken. Raises CleanBusy, SpoolGone if the disk
    goes away meanwhile, SpoolError if the spool is another user's.
    """
    owner = spool.root.stat().st_uid
    if os.geteuid() not in {0, owner}:
        raise SpoolError(
            f"{spool.root} belongs to user {owner}, not to us ({os.geteuid()}); "
            "run genzo clean as that user, or as root"
        )
    broom = Broom(dry_run=dry_run)
    with contextlib.nullcontext() if dry_run else _alone(spool):
        presence = Presence(spool)
        now = time.time() if now_seconds is None else now_seconds
        house = House(spool, keep, now, unfinished_job_ids(spool), broom)
        for kind, sweep in _KINDS.items():
            presence.check()
            broom.begin(kind)
            try:
                sweep(house)
            except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
                broom.obstacles.append(f"{kind}: {error}; see genzo doctor")
    return Cleaned(tuple(broom.tallies), tuple(broom.obstacles))


@contextlib.contextmanager
def _alone(spool: Spool) -> Iterator[None]:
    held = lock(spool, "clean")
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise CleanBusy(
            f"another genzo clean is at work on {spool.root} (lock {held.lock_file}); "
            "wait for it to end"
        ) from None
    try:
        yield
    finally:
        held.release()

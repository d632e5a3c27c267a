"""Where everything lies in a spool, and how one is made.

A directory is a spool when its marker says so. Nothing runs without the marker, since an
unmounted disk would otherwise grow a second spool in its mount point.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spool import durable, ids
from spool.problems import NotASpool

FORMAT = 1
MARKER = "spool.json"
CANCEL_SLOT = "cancel"
"""The directory in active/ through which queued jobs are cancelled; not a slot of a daemon."""

_LOCK_NAMES = frozenset({CANCEL_SLOT, "admissions", "clean", "feed", "intake"})
_SLOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_DROP_BOX_MODE = 0o3730  # others may add files, but neither list, read nor remove them
MODES = {
    "incoming": _DROP_BOX_MODE,
    "cache": 0o700,
    "locks": 0o700,  # who can open a lock file can hold it
    "seen": 0o700,
    "tmp": 0o700,
}
DIRECTORIES = (
    "incoming",
    "rejected",
    "work/queued",
    "work/active",
    f"work/active/{CANCEL_SLOT}",
    "work/held",
    "work/live",
    "done",
    "gallery",
    "outgoing",
    "slots",
    "locks",
    "seen",
    "seen/pending",
    "tmp",
    "cache",
)


@dataclass(frozen=True)
class Spool:
    """The paths of one spool. `root` is real: no part of it is a symbolic link.

    inotify reports nothing at all for a directory named through a symbolic link.
    """

    root: Path

    @classmethod
    def open(cls, directory: Path) -> Spool:
        """The spool in `directory`. Raises NotASpool if the marker is missing or foreign."""
        root = Path(os.path.realpath(directory))
        try:
            marker = json.loads((root / MARKER).read_bytes())
        except FileNotFoundError:
            raise NotASpool(
                f"{root} is not a spool: it has no {MARKER}; make one with: genzo init {root}"
            ) from None
        except (OSError, ValueError) as error:
            raise NotASpool(f"{root / MARKER} cannot be read: {error}") from None
        found = marker.get("format") if isinstance(marker, dict) else None
        if found != FORMAT:
            raise NotASpool(
                f"{root / MARKER} says format {found!r}, this genzo knows format {FORMAT}; "
                "use the genzo that made the spool"
            )
        return cls(root)

    @classmethod
    def create(cls, directory: Path) -> Spool:
        """Make `directory` a spool, or complete one; the marker comes last. Keeps what is there.

        Raises NotASpool if the directory holds anything that is not a spool's.
        """
        root = Path(os.path.realpath(directory))
        ours = {MARKER, *(name.partition("/")[0] for name in DIRECTORIES)}
        foreign = sorted({path.name for path in root.iterdir()} - ours) if root.is_dir() else []
        if foreign and not (root / MARKER).exists():
            raise NotASpool(
                f"{root} is no spool and not empty (it holds {foreign[0]!r}); "
                "name a directory that does not exist yet, or an empty one"
            )
        durable.make_directory(root, within=None)
        for name in DIRECTORIES:
            path = root / name
            durable.make_directory(path, within=root)
            if name in MODES:
                path.chmod(MODES[name])
        marker = json.dumps({"format": FORMAT}).encode() + b"\n"
        durable.publish(root / MARKER, marker, scratch=root / "tmp")
        return cls.open(root)

    @cached_property
    def incoming(self) -> Path:
        return self.root / "incoming"

    @cached_property
    def rejected(self) -> Path:
        return self.root / "rejected"

    @cached_property
    def work(self) -> Path:
        """All that moves while a job lives; one recursive watch covers it."""
        return self.root / "work"

    @cached_property
    def queued(self) -> Path:
        return self.work / "queued"

    @cached_property
    def active(self) -> Path:
        return self.work / "active"

    @cached_property
    def held(self) -> Path:
        return self.work / "held"

    @cached_property
    def live(self) -> Path:
        return self.work / "live"

    @cached_property
    def done(self) -> Path:
        return self.root / "done"

    @cached_property
    def gallery(self) -> Path:
        return self.root / "gallery"

    @cached_property
    def outgoing(self) -> Path:
        return self.root / "outgoing"

    @cached_property
    def slots(self) -> Path:
        return self.root / "slots"

    @cached_property
    def locks(self) -> Path:
        return self.root / "locks"

    @cached_property
    def seen(self) -> Path:
        return self.root / "seen"

    @cached_property
    def pending(self) -> Path:
        return self.seen / "pending"

    @cached_property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @cached_property
    def cache(self) -> Path:
        """What can be made again from the rest, and may be removed at any time."""
        return self.root / "cache"

    @cached_property
    def feed(self) -> Path:
        """The bounded list of pictures in the order of their publication."""
        return self.live / "feed.jsonl"

    @cached_property
    def clock(self) -> ids.Clock:
        """Draws job ids that are later than every id on this disk."""
        return ids.Clock(self._newest_id_ms())

    def record(self, job_id: str) -> Path:
        return self.done / ids.shard(job_id) / f"{job_id}.json"

    def events(self, job_id: str) -> Path:
        """The progress sidecar."""
        return self.live / f"{job_id}.jsonl"

    def preview(self, job_id: str) -> Path:
        return self.live / f"{job_id}.jpg"

    def cancel_request(self, job_id: str) -> Path:
        return self.live / f"{job_id}.cancel"

    def lock(self, name: str) -> Path:
        return self.locks / f"{name}.lock"

    def slot_of(self, name: str) -> Path:
        """The directory of the tickets that slot `name` has claimed."""
        return self.active / name

    def _newest_id_ms(self) -> int:
        names = [entry.name.removesuffix(".jsonl") for entry in os.scandir(self.live)]
        newest = next(filter(None, map(_names, shards(self.done))), [])
        names += [name.removesuffix(".json") for name in newest]
        return max((ids.created_ms(name) for name in names if ids.is_job_id(name)), default=0)


def check_slot_name(name: str) -> str:
    """`name`, if it can be a slot's. Raises ValueError otherwise: it becomes a file name."""
    if _SLOT_NAME.fullmatch(name) is None or name in _LOCK_NAMES:
        raise ValueError(
            f"slot name {name!r}: use 1 to 63 letters, digits, dots, dashes or underscores, "
            f"beginning with a letter or digit, and none of {', '.join(sorted(_LOCK_NAMES))}"
        )
    return name


def shards(tree: Path) -> Iterator[Path]:
    """The folders YYYYMMDD/HH below `tree`, the newest first; each day is read when it is due."""
    for day in _names(tree):
        yield from (tree / day / hour for hour in _names(tree / day))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []

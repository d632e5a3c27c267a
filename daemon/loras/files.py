"""One LoRA file: its kind and notes, known again by size and time, so that a rescan is cheap."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from daemon.loras.kinds import families_of, unread_keys, why_unusable
from daemon.loras.notes import SIDE_FILES, Notes, read_notes
from daemon.safetensors_header import Limits, UnreadableFile, read_header

_REMEMBERED = 10_000
_PICKLE_ENDINGS = (".ckpt", ".pt", ".pth", ".bin")
LIMITS = Limits(header_bytes=8 << 20, file_bytes=4 << 30, tensors=20_000)
"""Real headers have some hundred kilobytes; one of hostile JSON takes some 25 times itself."""
_READ = frozenset({"sdxl", "flux", "chroma", "zimage"})
"""The families whose keys we read; of the others it is enough to know them."""
ENDINGS = (".safetensors", *_PICKLE_ENDINGS)


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file is known to be the same as before."""

    path: Path
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The file's stamp. Raises OSError if it is not there."""
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A file that can be applied to models of `families`."""

    stamp: Stamp
    families: tuple[str, ...]
    notes: Notes

    @property
    def path(self) -> Path:
        return self.stamp.path


def inspect(stamp: Stamp) -> LoraFile | str:
    """What the file is, or the reason why it cannot be used.

    Read once for each state of the file and of the files next to it. Raises OSError.
    """
    return _inspect(stamp, tuple(_side_stamp(stamp.path, ending) for ending in SIDE_FILES))


def _side_stamp(path: Path, ending: str) -> Stamp | None:
    try:
        return Stamp.of(path.with_name(path.stem + ending))
    except OSError:
        return None


@lru_cache(_REMEMBERED)
def _inspect(stamp: Stamp, _side_stamps: tuple[Stamp | None, ...]) -> LoraFile | str:
    if stamp.path.suffix.lower() in _PICKLE_ENDINGS:
        return "it is a pickle, which could run code; convert it to safetensors"
    try:
        header = read_header(stamp.path, LIMITS)
    except UnreadableFile as error:
        return str(error)
    families = families_of(header)
    reason = why_unusable(header)
    if reason is None and _READ.intersection(families):
        reason = unread_keys(header)
    return reason or LoraFile(stamp, families, read_notes(stamp.path, header))


@lru_cache(_REMEMBERED)
def digest_of(stamp: Stamp) -> str:
    """The SHA-256 of the file's content, in hexadecimal. Raises OSError if it cannot be read."""
    with stamp.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

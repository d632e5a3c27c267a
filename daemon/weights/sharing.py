"""A text encoder that several models have lies in memory once.

T5 is the largest part of Chroma but one, and FLUX has the same; so has the next Z-Image the Qwen of
the last. They are never changed (LoRAs go into CLIP's encoders only), so one module serves all.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from daemon.weights.contents import Part

SHARED = frozenset({Part.T5, Part.QWEN3})

_NOT_OF_THE_NETWORK = frozenset(
    {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What besides its weights makes a module what it is; `config` is canonical JSON."""

    class_name: str
    dtype: torch.dtype
    config: str

    @classmethod
    def of(cls, class_name: str, dtype: torch.dtype, config: Mapping[str, Any]) -> Kind:
        facts = {name: value for name, value in config.items() if name not in _NOT_OF_THE_NETWORK}
        return cls(class_name, dtype, json.dumps(facts, sort_keys=True))

    @classmethod
    def in_folder(cls, folder: Path, class_name: str, dtype: torch.dtype) -> Kind:
        """The kind of what a folder holds; one that cannot be read is of a kind of its own."""
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            config = None
        return cls.of(class_name, dtype, config if isinstance(config, dict) else {"": str(folder)})


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was at one time."""

    path: Path
    inode: tuple[int, int]
    size_bytes: int
    changed_ns: int

    @classmethod
    def at(cls, path: Path) -> _File:
        status = path.stat()
        inode = (status.st_dev, status.st_ino)
        return cls(path, inode, status.st_size, status.st_mtime_ns)

    def holds_the_same_as(self, other: _File) -> bool:
        if self.size_bytes != other.size_bytes:
            return False
        if (self.inode, self.changed_ns) == (other.inode, other.changed_ns):
            return True
        try:
            # What was loaded may not be what lies there now.
            if (_File.at(self.path), _File.at(other.path)) != (self, other):
                return False
            return _digest(self) == _digest(other)
        except OSError:
            return False


@lru_cache(maxsize=64)
def _digest(file: _File) -> str:
    with file.path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Known:
    kind: Kind
    files: tuple[_File, ...]
    module: weakref.ref[torch.nn.Module]


class SharedParts:
    """Modules by their kind and the content of their files, while some model holds them.

    Files of one path, or links to one file, are known to be the same; others of one size are read
    to compare their digests, once each.
    """

    def __init__(self) -> None:
        self._known: list[_Known] = []

    def find(self, kind: Kind, files: Sequence[Path]) -> torch.nn.Module | None:
        """The module of this kind that was made from files of this content, if there is one."""
        self._known = [known for known in self._known if known.module() is not None]
        of_kind = [known for known in self._known if known.kind == kind]
        try:
            wanted = [_File.at(path) for path in files] if of_kind else []
        except OSError:  # whoever reads it says so better
            return None
        for known in of_kind:
            pairs = list(zip(known.files, wanted, strict=False))
            if len(known.files) == len(wanted) and all(a.holds_the_same_as(b) for a, b in pairs):
                return known.module()
        return None

    def note(self, kind: Kind, files: Sequence[Path], module: torch.nn.Module) -> None:
        """Offer a module that was just made from these files to others."""
        as_loaded = tuple(_File.at(path) for path in files)
        self._known.append(_Known(kind, as_loaded, weakref.ref(module)))

    def get(
        self, kind: Kind, files: Sequence[Path], load: Callable[[], torch.nn.Module]
    ) -> torch.nn.Module:
        """The module that `find` finds, else the one that `load` makes."""
        found = self.find(kind, files)
        if found is None:
            found = load()
            self.note(kind, files, found)
        return found


text_encoders = SharedParts()
"""Those of all models in this process."""

"""Removing without leaving the spool: each name is taken in a directory that is held open.

A path is looked up anew at every use, and whoever may write to one of its directories can put a
link there in between. A name in an open directory stays in that directory.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spool.quoting import printable


@dataclass(frozen=True, slots=True)
class Folder:
    """An open directory; `path` is where it was found, for messages and for its name."""

    descriptor: int
    path: Path

    def names(self) -> list[str]:
        """The names in it, in order."""
        return sorted(os.listdir(self.descriptor))

    def file(self, name: str) -> os.stat_result | None:
        """The status of the regular file `name`; None if it is gone, a link or anything else."""
        try:
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def read(self, name: str) -> bytes:
        """The content of `name`. Raises OSError, also if it is a link."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=self.descriptor), "rb") as file:
            return file.read()

    def folders(self, accept: Callable[[str], object] = bool) -> Iterator[Folder]:
        """The directories in it whose names `accept` likes, one after another, each held open.

        A link to a directory is none; one that we may not read is passed over.
        """
        for name in filter(accept, self.names()):
            try:
                inner = _open(name, self.descriptor)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            try:
                yield Folder(inner, self.path / name)
            finally:
                os.close(inner)


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """The directory at `path`, held open. Raises NotADirectoryError if it is a link."""
    descriptor = _open(path)
    try:
        yield Folder(descriptor, path)
    finally:
        os.close(descriptor)


def _open(name: str | Path, folder: int | None = None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=folder)


@dataclass(slots=True)
class Tally:
    """How much of one kind was removed; `bytes` is what the disk got back."""

    kind: str
    files: int = 0
    bytes: int = 0


class Broom:
    """Removes files and empty directories, or with `dry_run` only counts the files.

    What may not be removed stays, with a sentence in `obstacles`.
    """

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.tallies: list[Tally] = []
        self.obstacles: list[str] = []
        # A picture has two names where it was also delivered: the last one frees its bytes.
        self._doomed: Counter[tuple[int, int]] = Counter()

    def begin(self, kind: str) -> None:
        """Count what follows as `kind`."""
        self.tallies.append(Tally(kind))

    @property
    def files(self) -> int:
        """How many files of the present kind are gone."""
        return self.tallies[-1].files

    def remove(self, folder: Folder, name: str, status: os.stat_result) -> None:
        """Remove the file `name`, of which `status` was found; one that is gone is as good."""
        links = status.st_nlink
        if self.dry_run:
            if links > 1:
                links -= self._doomed[status.st_dev, status.st_ino]
                self._doomed[status.st_dev, status.st_ino] += 1
        else:
            try:
                os.unlink(name, dir_fd=folder.descriptor)
            except FileNotFoundError:
                return
            except PermissionError as error:
                path = printable(str(folder.path / name))
                self.obstacles.append(f"{path} could not be removed: {error.strerror}")
                return
        self.tallies[-1].files += 1
        self.tallies[-1].bytes += status.st_size if links == 1 else 0

    def remove_directory(self, outer: Folder, name: str) -> None:
        """Remove the directory `name` if it is empty; one that stays does no harm."""
        if not self.dry_run:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=outer.descriptor)

"""The one helper that writes files, so that a power cut leaves either nothing or the whole.

Durable means: fsync the file, give it its name, fsync the directory it came to and, where it
was renamed, the one it left. ext4, xfs and btrfs each lose a file when a step is left out (xfs
and btrfs leave a file of zero bytes, btrfs one name in two directories).

Where many files are written at once, one `syncfs` takes the place of a sync each: 1.2 ms a file
instead of 8 on ext4.

A name is given without replacing (`link`, which fails if the name is taken) or replacing
(`rename`). Modes are set explicitly: a umask of 077 must not hide a spool from its group.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

FILE_MODE = 0o640
DIRECTORY_MODE = 0o2750

_T = TypeVar("_T")
_SCRATCH_NAME = re.compile(r"\d+-[0-9a-f]{16}", re.ASCII)
_TRIES = 5


_FEW = 8
"""Up to here a sync each is cheaper than `syncfs`, which waits for everyone's data."""

_libc = ctypes.CDLL(None, use_errno=True)


def sync_file_system(directory: Path) -> None:
    """Make everything durable that was written to the file system of `directory`.

    Raises OSError if anything of it could not be written since the last such call.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor):  # not in `os`
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))
    finally:
        os.close(descriptor)


def sync_directories(*directories: Path) -> None:
    """Make the names in each of `directories`, all of one file system, durable."""
    distinct = list(dict.fromkeys(directories))
    if len(distinct) > _FEW:
        sync_file_system(distinct[0])
        return
    for directory in distinct:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_directory(
    directory: Path, *, within: Path | None, mode: int = DIRECTORY_MODE, durable: bool = False
) -> None:
    """Create `directory` and what is missing above it, with `mode` whatever the umask.

    Nothing outside `within` is made: raises FileNotFoundError if that is gone itself, since a
    spool whose disk is not mounted any more must not grow again in its mount point.
    """
    if directory.is_dir():
        return
    if directory == within:
        raise FileNotFoundError(errno.ENOENT, "the spool is gone", str(directory))
    if not directory.parent.is_dir():
        make_directory(directory.parent, within=within, durable=durable)
    with contextlib.suppress(FileExistsError):
        directory.mkdir()
        directory.chmod(mode)
    if durable:
        sync_directories(directory.parent)


def within_directory(directory: Path, publish: Callable[[], _T], *, within: Path) -> _T:
    """Make `directory` durably and `publish` into it; what that returns.

    House-keeping may remove a directory that is still empty, then both are done again, so
    `publish` must bear repetition. Raises FileNotFoundError if that does not help.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            make_directory(directory, within=within, durable=True)
            return publish()
    make_directory(directory, within=within, durable=True)
    return publish()


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write the whole of `data`; a full disk writes a part of it and raises nothing at first."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def scratch_file(scratch: Path, data: bytes, *, durable: bool) -> Iterator[Path]:
    """A new file in `scratch` that holds `data`; removed at the end if it is still there."""
    path = scratch / f"{os.getpid()}-{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            write_all(descriptor, data)
            os.fchmod(descriptor, FILE_MODE)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def scratch_files(scratch: Path, contents: Sequence[bytes]) -> Iterator[list[Path]]:
    """New durable files in `scratch`, one for each of `contents`; what is left goes at the end."""
    one_by_one = len(contents) <= _FEW
    with contextlib.ExitStack() as stack:
        paths = [
            stack.enter_context(scratch_file(scratch, data, durable=one_by_one))
            for data in contents
        ]
        if not one_by_one:
            sync_file_system(scratch)
        yield paths


def is_scratch(name: str) -> bool:
    """Whether `name` is one that `scratch_file` gives; a crash leaves such a file."""
    return _SCRATCH_NAME.fullmatch(name) is not None


def publish(path: Path, data: bytes, *, scratch: Path, durable: bool = True) -> bool:
    """Create `path` with `data` unless it exists; tell whether it was created.

    `scratch` is a directory of the same file system. After a crash `path` is absent or whole.
    """
    with scratch_file(scratch, data, durable=durable) as temporary:
        created = link(temporary, path)
    # Also where it exists: whoever created it may have died before its name was durable. The
    # name in `scratch` was never more than that, and needs no sync.
    if durable:
        sync_directories(path.parent)
    return created


def replace(path: Path, data: bytes, *, scratch: Path, durable: bool = True) -> None:
    """Give `path` the content `data`; readers and crashes see the old or the new, whole."""
    with scratch_file(scratch, data, durable=durable) as temporary:
        temporary.rename(path)
    if durable:
        sync_directories(path.parent, scratch)


def link(source: Path, target: Path) -> bool:
    """Give the file `source` the further name `target` unless it is taken; tell which."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return False
    return True


def link_or_copy(source: Path, target: Path, *, scratch: Path) -> None:
    """Make `target` a hard link to `source`, or a durable copy where links cannot reach.

    A link is durable once its directory is synced. `scratch` is in the file system of `target`.
    """
    try:
        link(source, target)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}:
            raise
        publish(target, source.read_bytes(), scratch=scratch)


def move(source: Path, target: Path) -> bool:
    """Rename `source` to `target` without syncing; False if `source` is no longer there.

    Only for names that no one else can create, since an existing `target` is replaced.
    """
    try:
        source.rename(target)
    except FileNotFoundError:
        return False
    return True


def remove(paths: Iterable[Path]) -> None:
    """Remove each of `paths`; one that is gone already is as good."""
    for path in paths:
        path.unlink(missing_ok=True)

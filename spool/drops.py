"""Files from strangers: finding them, reading one safely, knowing it again, removing it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from spool.acceptance import key_of
from spool.layout import Spool
from spool.problems import Problem
from spool.room import is_disk_error
from spool.strict_json import MAX_BYTES

NAME_BYTES = 255
MAX_FOLDERS = 8
"""How deep below incoming/ a job may lie: deeper paths would grow too long elsewhere."""

READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""How a stranger's file is opened: through no link, and waiting for no one."""

ASIDE = ".genzo-taken."
"""Before the name of a file that is being removed."""
_TEMPORARY_SUFFIXES = (".part", ".partial", ".filepart", ".swp", ".tmp", "~")


@dataclass(frozen=True, slots=True)
class Signature:
    """What changes when a file is written, replaced or touched."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_of(self, status: os.stat_result) -> bool:
        """Whether `status` is of the same file, unwritten."""
        return self.is_as(Signature.of(status))

    def is_as(self, other: Signature) -> bool:
        """Whether `other` is the same file, unwritten; a rename or a link changes its ctime."""
        return replace(other, ctime_ns=self.ctime_ns) == self


@dataclass(frozen=True, slots=True)
class Drop:
    """A file of the drop box as it was read; `name` is its path below incoming/."""

    name: str
    path: Path
    data: bytes
    signature: Signature
    owner_uid: int

    @property
    def key(self) -> str:
        """Equal when an rsync sends the same file again; another after an edit or a touch."""
        content = hashlib.sha256(self.data).hexdigest()
        return key_of("drop", self.name, self.signature.size, self.signature.mtime_ns, content)


def is_candidate(name: str) -> bool:
    """Whether a name may be a job's: not a dot-name, and not one of an unfinished transfer."""
    return not name.startswith(".") and not name.lower().endswith(_TEMPORARY_SUFFIXES)


def may_be_job(path: PurePath) -> bool:
    """Whether `path`, relative to incoming/, is one that `walk` finds.

    rsync keeps unfinished transfers in folders with dot-names, under their final names.
    """
    *folders, name = path.parts
    hidden = any(folder.startswith(".") for folder in folders)
    return is_candidate(name) and not hidden and len(folders) <= MAX_FOLDERS


def walk(directory: Path, unsearched: dict[Path, Problem] | None = None) -> Iterator[Path]:
    """Every candidate below `directory`, links and special files included, none followed.

    Folders that cannot be searched are added to `unsearched`, with the reason.
    """
    return (path for path in _files(directory, unsearched) if is_candidate(path.name))


def _files(
    directory: Path, unsearched: dict[Path, Problem] | None = None, folders: int = 0
) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        # Gone, a link by now, closed to us, or a dead mount of a stranger's.
        if is_disk_error(error):
            raise
        if unsearched is not None and isinstance(error, PermissionError):
            unsearched[directory] = Problem("Not readable", "open it to the group (chmod g+rx)")
        return
    for entry in entries:
        path = Path(entry.path)
        if not entry.is_dir(follow_symlinks=False):
            yield path
        elif entry.name.startswith("."):
            continue
        elif folders < MAX_FOLDERS:
            yield from _files(path, unsearched, folders + 1)
        elif unsearched is not None:
            why = f"more than {MAX_FOLDERS} folders; move its files further up"
            unsearched[path] = Problem("Too deep", why)


@contextmanager
def folder_of(spool: Spool, path: Path) -> Iterator[int]:
    """The folder of `path`, opened from incoming/ on without following a link.

    A stranger may put a link to any directory in the place of a sub-folder, at any moment; what
    is done through the descriptor stays in the drop box. Raises FileNotFoundError if a part of
    the way is a link.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(spool.incoming, flags)
    try:
        for part in path.relative_to(spool.incoming).parts[:-1]:
            outer = descriptor
            try:
                descriptor = os.open(part, flags, dir_fd=outer)
            except NotADirectoryError as error:
                raise FileNotFoundError(error.errno, "not in the drop box", str(path)) from None
            os.close(outer)
        yield descriptor
    finally:
        os.close(descriptor)


def look(spool: Spool, path: Path) -> Signature:
    """The signature of the file at `path`, a link itself if it is one.

    Raises FileNotFoundError if it is gone, also if a folder has taken its place.
    """
    with folder_of(spool, path) as folder:
        status = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "a folder by now", str(path))
    return Signature.of(status)


def read(spool: Spool, path: Path) -> Drop:
    """Read a dropped file without following a link, waiting on a FIFO or filling the memory.

    Raises Problem if it is no regular file or too large, FileNotFoundError if it is gone,
    PermissionError if we may not read it.
    """
    try:
        with folder_of(spool, path) as folder:
            descriptor = os.open(path.name, READING, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise _not_regular() from None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _not_regular()
        if status.st_size > MAX_BYTES:
            raise Problem(
                "Too large",
                f"the file has {status.st_size} bytes, a job has at most {MAX_BYTES}",
                status=413,
            )
        data = _read_up_to(descriptor, MAX_BYTES + 1)
        status = os.fstat(descriptor)  # whoever writes meanwhile leaves another signature
    finally:
        os.close(descriptor)
    name = path.relative_to(spool.incoming).as_posix()
    return Drop(name, path, data, Signature.of(status), status.st_uid)


def discard(spool: Spool, path: Path, signature: Signature) -> bool:
    """Remove the file that was read from `path`; False if another has taken its place.

    The name is set aside first and removed only if it still is the file of `signature`: a writer
    may have replaced it since. Raises PermissionError in a folder that is not ours to change.
    """
    try:
        with folder_of(spool, path) as folder:
            aside = set_aside(folder, path.name, signature)
            if aside is not None:
                os.unlink(aside, dir_fd=folder)
    except FileNotFoundError:
        return True
    return aside is not None


def restore_set_aside(spool: Spool) -> None:
    """Give back the names that a process which died after `set_aside` had set aside."""
    for path in _files(spool.incoming):
        if path.name.startswith(ASIDE):
            with contextlib.suppress(OSError), folder_of(spool, path) as folder:
                _give_back(folder, path.name, path.name.removeprefix(ASIDE))


def set_aside(folder: int, name: str, signature: Signature) -> str | None:
    """Give the file of `signature` a dot-name, and return that; None if `name` is another's.

    A name too long for the prefix stays, and is compared where it is, as is one whose dot-name
    a stranger has given to a folder.
    """
    aside = f"{ASIDE}{name}"
    if len(os.fsencode(aside)) > NAME_BYTES:
        aside = name
    try:
        os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError:
        aside = name
    if signature.is_of(os.stat(aside, dir_fd=folder, follow_symlinks=False)):
        return aside
    if aside != name:
        _give_back(folder, aside, name)
    return None


def _give_back(folder: int, aside: str, name: str) -> None:
    """Undo `set_aside`, unless a third file has taken the name, which is newer."""
    try:
        os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        pass
    except PermissionError:  # fs.protected_hardlinks: it is a stranger's file
        if not _exists(name, folder):
            os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
            return
    os.unlink(aside, dir_fd=folder)


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _not_regular() -> Problem:
    return Problem(
        "Not a regular file",
        "a job is a regular file; links, pipes, sockets and devices are not opened: send a copy",
        status=400,
    )


def _read_up_to(descriptor: int, limit: int) -> bytes:
    pieces = []
    while limit > 0:
        piece = os.read(descriptor, limit)
        if not piece:
            break
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def is_utf8(name: PurePath) -> bool:
    """Whether a file's name can stand in JSON."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return False
    return True

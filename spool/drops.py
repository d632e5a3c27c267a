"""Files from strangers: reading one safely, knowing it again, refusing it with its reason."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from spool import durable
from spool.acceptance import key_of
from spool.layout import Spool
from spool.problems import Problem
from spool.strict_json import MAX_BYTES

_ASIDE = ".genzo-taken."
_TEMPORARY_SUFFIXES = (".part", ".partial", ".filepart", ".swp", ".tmp", "~")
_NAME_BYTES = 255


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


def walk(directory: Path) -> Iterator[Path]:
    """Every candidate below `directory`, links and special files included, none followed."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith("."):
                yield from walk(Path(entry.path))
        elif is_candidate(entry.name):
            yield Path(entry.path)


def read(spool: Spool, path: Path) -> Drop:
    """Read a dropped file without following a link, waiting on a FIFO or filling the memory.

    Raises Problem if it is no regular file or too large, FileNotFoundError if it is gone,
    PermissionError if we may not read it.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
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
    finally:
        os.close(descriptor)
    name = path.relative_to(spool.incoming).as_posix()
    return Drop(name, path, data, Signature.of(status), status.st_uid)


def discard(path: Path, signature: Signature) -> bool:
    """Remove the file that was read from `path`; False if another has taken its place.

    The name is set aside first and removed only if it still is the file of `signature`: a writer
    may have replaced it since. Raises PermissionError in a folder that is not ours to change.
    """
    aside = path.with_name(shortened(f"{_ASIDE}{path.name}"))
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    now = Signature.of(aside.lstat())
    same = (now.inode, now.size, now.mtime_ns) == (
        signature.inode,
        signature.size,
        signature.mtime_ns,
    )
    if not same:
        durable.link(aside, path)
    aside.unlink()
    return same


def restore_set_aside(directory: Path) -> None:
    """Give back the names that a process which died inside `discard` had set aside."""
    for aside in directory.rglob(f"{_ASIDE}*"):
        with contextlib.suppress(OSError):
            durable.link(aside, aside.with_name(aside.name.removeprefix(_ASIDE)))
            aside.unlink()


def refuse(spool: Spool, path: Path, problem: Problem, key: str) -> Path:
    """Lay the file into rejected/ under its name, NAME.problem.json beside it; where it is now.

    The file keeps its old name too, until the caller has made `key` known and discards it. Of
    two different files of one name the second becomes NAME~<8 hex of its key>.
    """
    name = path.relative_to(spool.incoming)
    folder = spool.rejected / name.parent
    durable.make_directory(folder, durable=True)
    target = folder / shortened(name.name, ".problem.json")
    if not _place(path, target):
        target = folder / shortened(name.name, f"~{key[:8]}.problem.json", keep=f"~{key[:8]}")
        _place(path, target)
    report = {**problem.as_json(), "file": printable(name.as_posix())}
    text = json.dumps(report, ensure_ascii=False, indent=1).encode() + b"\n"
    durable.replace(
        target.with_name(f"{target.name}.problem.json"), text, scratch=spool.tmp, durable=True
    )
    return target


def shortened(name: str, suffix: str = "", *, keep: str = "") -> str:
    """`name` followed by `keep`, cut and marked with a hash where `suffix` would not fit.

    File names have at most 255 bytes; different names stay different.
    """
    raw = os.fsencode(name)
    room = _NAME_BYTES - len(os.fsencode(suffix))
    if len(raw) > room:
        digest = hashlib.sha256(raw).hexdigest()[:12].encode()
        raw = raw[: room - len(digest) - 1] + b"~" + digest
    return os.fsdecode(raw) + keep


def printable(text: str) -> str:
    """`text` as it may stand in a log, a JSON file or a terminal: no controls, valid UTF-8."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)


def _place(path: Path, target: Path) -> bool:
    """Give the refused file its name in rejected/; False if that is another file's."""
    try:
        return durable.link(path, target) or target.lstat().st_ino == path.lstat().st_ino
    except PermissionError:
        # fs.protected_hardlinks forbids linking a stranger's file; we own the drop box, so
        # moving it is allowed.
        if target.exists():
            return False
        path.rename(target)
        return True


def _not_regular() -> Problem:
    return Problem(
        "Not a regular file",
        "a job is a regular file; links, pipes, sockets and devices are not opened",
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

"""What an action did to the disk, in order: the system calls of a child, seen by strace."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Written:
    """The content of the file `path` is new, from its creation on."""

    path: Path


@dataclass(frozen=True, slots=True)
class Synced:
    """The content of the file, or the names in the directory, `path` are on the disk."""

    path: Path


@dataclass(frozen=True, slots=True)
class AllSynced:
    """Everything in every file system of ours is on the disk."""


@dataclass(frozen=True, slots=True)
class Linked:
    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Moved:
    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Removed:
    path: Path


@dataclass(frozen=True, slots=True)
class DirectoryMade:
    path: Path


Effect = Written | Synced | AllSynced | Linked | Moved | Removed | DirectoryMade

_WRITES = frozenset({"write", "pwrite64", "writev", "pwritev", "ftruncate", "sendfile"})
_SYNCS = frozenset({"fsync", "fdatasync"})
_SYNCS_OF_ALL = frozenset({"sync", "syncfs"})
_LINKS = frozenset({"link", "linkat"})
_MOVES = frozenset({"rename", "renameat", "renameat2"})
_REMOVALS = frozenset({"unlink", "unlinkat", "rmdir"})
_NEW_DIRECTORIES = frozenset({"mkdir", "mkdirat"})
_CALLS = frozenset({"openat"}).union(
    _WRITES, _SYNCS, _SYNCS_OF_ALL, _LINKS, _MOVES, _REMOVALS, _NEW_DIRECTORIES
)

_LINE = re.compile(r"\d+ +(?P<call>\w+)\((?P<arguments>.*)\) += \d+")
# A descriptor with its path, `3</spool/tmp/x>`, or a quoted path; strace escapes both.
_PLACE = re.compile(r'(?:AT_FDCWD|\d+)<(?P<opened>[^>]*)>|"(?P<given>(?:[^"\\]|\\.)*)"')

_PR_SET_PTRACER = 0x59616D61


def effects_of(action: Callable[[], object], *, within: Path) -> list[Effect]:
    """Do `action` in a child, and tell its effects below `within` in the order they ended.

    What the child's threads and children do counts too. Skips the test where nothing can be
    traced. An exception of the child's is an error of the test's.
    """
    with tempfile.NamedTemporaryFile("r", encoding="ascii") as log:
        status = os.waitstatus_to_exitcode(_traced(action, Path(log.name)))
        assert status == 0, "the child failed; see its traceback on stderr"
        return [effect for line in log for effect in _parse(line) if concerns(effect, within)]


def concerns(effect: Effect, directory: Path) -> bool:
    """Whether something below `directory` is changed by `effect`."""
    match effect:
        case AllSynced():
            return True
        case Linked(_, path) | Moved(_, path):
            return path.is_relative_to(directory)
        case Written(path) | Synced(path) | Removed(path) | DirectoryMade(path):
            return path.is_relative_to(directory)


def _traced(action: Callable[[], object], log: Path) -> int:
    """The wait status of a child that does `action` while strace writes to `log`."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _act_when_told(action, theirs)
    theirs.close()
    with ours:
        ours.recv(1)
        tracer, refusal = _attach(child, log)
        ours.send(b"n" if refusal else b"y")
    status = os.waitpid(child, 0)[1]
    if tracer is not None:
        tracer.communicate()
    if refusal:
        pytest.skip(f"nothing can be traced here: {refusal}")
    return status


def _act_when_told(action: Callable[[], object], parent: socket.socket) -> None:
    status = 1
    try:
        # Yama lets only ancestors trace; strace is a sibling.
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
        parent.send(b"?")
        if parent.recv(1) == b"y":
            action()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _attach(child: int, log: Path) -> tuple[subprocess.Popen[str] | None, str]:
    """strace at `child`, and why it is not there, if so."""
    if shutil.which("strace") is None:
        return None, "strace is not installed"
    # -z: successful calls only, which also keeps the lines of several threads apart.
    options = ["-f", "-y", "-z", "-s", "0", "-e", "signal=none"]
    calls = ",".join(f"?{call}" for call in sorted(_CALLS))
    tracer = subprocess.Popen(
        ["strace", *options, "-e", f"trace={calls}", "-o", str(log), "-p", str(child)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    first = tracer.stderr.readline()
    return tracer, "" if "attached" in first else first.strip()


def _parse(line: str) -> Iterator[Effect]:
    match = _LINE.match(line)
    if match is None:
        return
    call, arguments = match["call"], match["arguments"]
    if call == "openat":
        if "O_CREAT" in arguments or "O_TRUNC" in arguments:
            yield Written(next(_paths(arguments)))
    elif call in _WRITES:
        yield Written(_opened(arguments))
    elif call in _SYNCS:
        yield Synced(_opened(arguments))
    elif call in _SYNCS_OF_ALL:
        yield AllSynced()
    elif call in _LINKS | _MOVES:
        source, target = _paths(arguments)
        yield Linked(source, target) if call in _LINKS else Moved(source, target)
    elif call in _REMOVALS:
        yield from map(Removed, _paths(arguments))
    elif call in _NEW_DIRECTORIES:
        yield from map(DirectoryMade, _paths(arguments))


def _opened(arguments: str) -> Path:
    match = _PLACE.match(arguments)
    assert match is not None, arguments
    return _path(match["opened"])


def _paths(arguments: str) -> Iterator[Path]:
    """The paths among `arguments`, each joined to the directory it was given with."""
    folder = Path.cwd()
    for match in _PLACE.finditer(arguments):
        if match["opened"] is not None:
            folder = _path(match["opened"])
        else:
            yield folder / _path(match["given"])


def _path(escaped: str) -> Path:
    raw = escaped.encode("ascii").decode("unicode_escape").encode("latin-1")
    return Path(os.fsdecode(raw))

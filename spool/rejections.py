"""rejected/: what could not be accepted, each file with its reason in NAME.problem.json."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from pathlib import Path, PurePath

from spool import durable
from spool.drops import NAME_BYTES, READING, Signature, folder_of, set_aside
from spool.layout import Spool
from spool.locks import lock
from spool.problems import Problem
from spool.quoting import printable

REPORT_SUFFIX = ".problem.json"


def refuse(spool: Spool, path: Path, signature: Signature, problem: Problem, key: str) -> Path:
    """Lay NAME.problem.json into rejected/, and the file itself as NAME beside it; that path.

    The file keeps its old name too where links allow that, until the caller has made `key` known
    and discards it. Of two different files of one name the second becomes NAME~<8 hex of its
    key>. Only regular files are kept: a link there would lead later ones out of the spool.
    """
    name = path.relative_to(spool.incoming)
    text = report(problem, name.as_posix())
    # House-keeping holds it while it removes an old file of this name, or an empty folder.
    with lock(spool, "admissions"):
        target = _place_for(spool, name, signature, key)
        durable.replace(_report_of(target), text, scratch=spool.tmp, durable=True)
        # In a folder that is not ours to change, a stranger's file can be neither linked nor
        # moved.
        with contextlib.suppress(PermissionError), folder_of(spool, path) as folder:
            _keep(folder, path.name, target, signature)
        durable.sync_directories(target.parent)
    return target


def report(problem: Problem, name: str) -> bytes:
    """`problem` of the file `name` as JSON that a terminal can show, whatever a stranger wrote.

    What is not printable stands there in JSON's own escapes.
    """
    document = {**problem.as_json(), "file": printable(name)}
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    # Outside of strings there are no other controls than the ends of lines.
    return "".join(
        c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text
    ).encode()


def shortened(name: str, suffix: str = "", *, keep: str = "") -> str:
    """`name` followed by `keep`, cut and marked with a hash where `suffix` would not fit.

    File names have at most 255 bytes; different names stay different.
    """
    raw = os.fsencode(name)
    room = NAME_BYTES - len(os.fsencode(suffix))
    if len(raw) > room:
        digest = hashlib.sha256(raw).hexdigest()[:12].encode()
        raw = raw[: room - len(digest) - 1] + b"~" + digest
    return os.fsdecode(raw) + keep


def _place_for(spool: Spool, name: PurePath, signature: Signature, key: str) -> Path:
    folder = spool.rejected / name.parent
    with contextlib.suppress(NotADirectoryError):
        durable.make_directory(folder, within=spool.rejected, durable=True)
    if not folder.is_dir():  # a refused file has the name of the folder
        folder = spool.rejected
    target = folder / shortened(name.name, REPORT_SUFFIX)
    # A drop may be named like another's report, which would replace it.
    if name.name.endswith(REPORT_SUFFIX) or _is_another(target, signature):
        target = folder / shortened(name.name, f"~{key[:8]}{REPORT_SUFFIX}", keep=f"~{key[:8]}")
    if _report_of(target).is_dir():
        target = spool.rejected / f"{key[:8]}.json"
    return target


def _is_another(target: Path, signature: Signature) -> bool:
    try:
        return target.lstat().st_ino != signature.inode
    except FileNotFoundError:
        return False


def _report_of(target: Path) -> Path:
    return target.with_name(f"{target.name}{REPORT_SUFFIX}")


def _keep(folder: int, name: str, target: Path, signature: Signature) -> None:
    """Give the refused file its name in rejected/, unless another has taken its place."""
    _sync_content(folder, name, target)
    try:
        os.link(name, target, src_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno == errno.EXDEV:  # a stranger's mount in the drop box
            return
        if error.errno not in {errno.EPERM, errno.EACCES, errno.EMLINK}:
            raise
        # fs.protected_hardlinks forbids linking a stranger's file, and he may have given it all
        # the links it can have; we own the drop box, so moving it is allowed.
        aside = set_aside(folder, name, signature)
        if aside is None:
            return
        os.rename(aside, target, src_dir_fd=folder)
    kept = target.lstat()
    if kept.st_ino != signature.inode or not stat.S_ISREG(kept.st_mode):
        target.unlink()


def _sync_content(folder: int, name: str, target: Path) -> None:
    """Sync what its writer need not have; a power cut would leave the name with no content."""
    try:
        descriptor = os.open(name, READING, dir_fd=folder)
    except OSError as error:
        # A link, a socket: not kept. What we may not read can be synced with all the rest only.
        if error.errno in {errno.EACCES, errno.EPERM}:
            durable.sync_file_system(target.parent)
        return
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

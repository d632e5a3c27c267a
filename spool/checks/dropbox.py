"""incoming/ and rejected/: what lies there, and why nobody takes it."""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from spool.checks.findings import Finding, few, note, us, warning
from spool.checks.slots import is_held
from spool.drops import ASIDE, MAX_FOLDERS, is_candidate, is_utf8
from spool.layout import Spool
from spool.rejections import REPORT_SUFFIX
from spool.settings import Settings

PATIENCE_SECONDS = 300.0
"""What is older should have been taken or refused."""

_MOST = 10_000  # entries looked at; strangers may drop without end
_FS_IOC_GETFLAGS = 0x80086601
_FS_IMMUTABLE_FL = 0x10


def drops(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Which files nobody takes from the drop box, and why as far as can be said."""
    if not os.access(spool.incoming, os.R_OK | os.X_OK, effective_ids=True):
        yield note(
            spool.incoming, f"cannot be listed by {us()}", "run it as the daemon's user, or as root"
        )
        return
    served = is_held(spool.lock("intake"))
    entries = list(_walk(spool.incoming))
    waiting = sum(1 for path, _ in entries if _may_be_taken(spool, path))
    if waiting and served is False:
        files = "1 file waits" if waiting == 1 else f"{waiting} files wait"
        yield warning(spool.incoming, f"{files} and no intake runs", "start genzod or genzo-httpd")
    now = time.time()
    # The change of the inode, not of the content: a sender may set the latter as it likes.
    old = [path for path, status in entries if now - status.st_ctime > PATIENCE_SECONDS]
    yield from few((_explain(spool, path, served=served) for path in old), spool.incoming)


def _walk(directory: Path, left: int = _MOST) -> Iterator[tuple[Path, os.stat_result]]:
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError, PermissionError):
                yield path, path.lstat()
            left -= 1
            if left <= 0:
                return


def _may_be_taken(spool: Spool, path: Path) -> bool:
    return _oddity(path.relative_to(spool.incoming)) is None


def _oddity(name: Path) -> Finding | None:
    """Why a name, relative to incoming/, is not a job's; None if it may be one."""
    *folders, last = name.parts
    where = Path("incoming", name)
    if last.startswith(ASIDE):
        return note(
            where,
            "was set aside by an intake that ended before it was removed",
            "the next intake that starts gives it its name back",
        )
    hidden = next((part for part in name.parts if part.startswith(".")), None)
    if hidden is not None:
        return note(
            where,
            f"is no job: {hidden!r} begins with a dot, as unfinished transfers of rsync do",
            "rename it, or remove it",
        )
    if len(folders) > MAX_FOLDERS:
        return warning(
            where,
            f"lies {len(folders)} folders deep; jobs are looked for in at most {MAX_FOLDERS}",
            "move it up",
        )
    if not is_candidate(last):
        return note(where, "has the name of an unfinished transfer", "rename it, or remove it")
    return None


def _explain(spool: Spool, path: Path, *, served: bool | None) -> Finding:
    name = path.relative_to(spool.incoming)
    where = Path("incoming", name)
    known = _oddity(name) or _obstacle(where, path)
    if known is not None:
        return known
    if served is False:
        return warning(where, "is not taken, since no intake runs", "start genzod or genzo-httpd")
    return warning(
        where,
        "is not taken, and nothing is wrong with it that can be seen from here",
        "the log of genzod or genzo-httpd may say why",
    )


def _obstacle(where: Path, path: Path) -> Finding | None:
    """What keeps us from taking or reading the file at `path`."""
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        return note(
            where,
            f"stays, since {us()} may not change its folder; it was dealt with",
            "its owner may remove it",
        )
    if is_immutable(path):
        remedy = f"chattr -i {path}"
        return warning(where, "is immutable: it can be neither taken nor refused", remedy)
    if not os.access(path, os.R_OK, effective_ids=True, follow_symlinks=False):
        return warning(where, f"cannot be read by {us()}", f"chmod g+r {path}")
    if not is_utf8(where):
        return warning(where, "has a name that is not valid UTF-8", "rename it")
    return None


def is_immutable(path: Path) -> bool:
    """Whether `path` carries the attribute that chattr +i gives; False where none can be read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    attributes = array.array("l", [0])
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        descriptor = os.open(path, flags)
    except OSError:
        return False
    try:
        fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, attributes)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return bool(attributes[0] & _FS_IMMUTABLE_FL)


def refusals(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """How many files were refused, and why the newest was."""
    reports = [
        (status.st_mtime, path)
        for path, status in _walk(spool.rejected)
        if path.name.endswith(REPORT_SUFFIX) and stat.S_ISREG(status.st_mode)
    ]
    if not reports:
        return
    _, newest = max(reports)
    try:
        reason = str(json.loads(newest.read_bytes())["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        reason = "its reason cannot be read"
    at_least = "at least " if len(reports) * 2 >= _MOST else ""
    files = "1 refused file" if len(reports) == 1 else f"{len(reports)} refused files"
    name = newest.relative_to(spool.root).as_posix().removesuffix(REPORT_SUFFIX)
    yield note(spool.rejected, f"holds {at_least}{files}; the newest is {name}: {reason[:300]}")

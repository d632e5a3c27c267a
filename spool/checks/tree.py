"""The shape of the spool: its marker, its directories, and the file system under it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spool.checks.findings import Finding, error, identity, note, ok, warning
from spool.layout import DIRECTORIES, MODES, Spool
from spool.problems import NotASpool
from spool.settings import Settings

_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "ceph", "lustre", "beegfs", "afs"}
)
_WITHOUT_LINKS = frozenset({"vfat", "msdos", "exfat"})
_PASSING = frozenset({"tmpfs", "ramfs"})
_OCTAL = re.compile(r"\\([0-7]{3})")


def marker(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether the directory is a spool of a format we know."""
    try:
        Spool.open(spool.root)
    except NotASpool as problem:
        yield error(spool.root, str(problem))


def directories(spool: Spool, _settings: Settings) -> Iterator[Finding]:
    """Whether each directory is there, is one, and has its mode and owner."""
    root = spool.root.stat()
    yield from _shape(spool.root, root, root.st_uid)
    for name in DIRECTORIES:
        path = spool.root / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            yield error(path, "is missing", f"genzo init {spool.root} makes what is missing")
            continue
        yield from _shape(path, status, root.st_uid, MODES.get(name))


def _shape(
    path: Path, status: os.stat_result, owner: int, wanted: int | None = None
) -> Iterator[Finding]:
    if stat.S_ISLNK(status.st_mode):
        yield warning(
            path,
            "is a symbolic link: no events come from behind it, and genzo clean leaves it alone",
            "put the directory itself in its place",
        )
        return
    if not stat.S_ISDIR(status.st_mode):
        yield error(path, "is not a directory", "move it away, then: genzo init")
        return
    mode = stat.S_IMODE(status.st_mode)
    if wanted is not None and mode != wanted:
        yield warning(path, f"has mode {mode:o} and not {wanted:o}", f"chmod {wanted:o} {path}")
    elif wanted is None and mode & 0o022:
        yield warning(path, f"has mode {mode:o}: others may write to it", f"chmod go-w {path}")
    if status.st_uid != owner:
        yield error(
            path,
            f"belongs to {identity(status.st_uid)}, the spool to {identity(owner)}",
            f"chown {owner} {path}",
        )


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    point: Path
    kind: str

    @property
    def is_remote(self) -> bool:
        return self.kind in _REMOTE or self.kind.startswith("fuse")


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The mounts of /proc/self/mountinfo, in their order: of two at one point the later counts."""
    mounts = []
    for line in mountinfo.splitlines():
        front, _, back = line.partition(" - ")
        fields = front.split()
        if len(fields) > 4 and back:
            point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
            mounts.append(Mount(Path(point), back.split()[0]))
    return mounts


def mount_of(path: Path, mounts: list[Mount]) -> Mount | None:
    """The mount on which `path`, which is real, lies."""
    above = [mount for mount in mounts if path.is_relative_to(mount.point)]
    # max keeps the first of equals, hence the reversal.
    return max(reversed(above), key=lambda mount: len(mount.point.parts), default=None)


def file_system(spool: Spool, settings: Settings) -> Iterator[Finding]:
    """Whether the file system can do what the protocol asks of it."""
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    if os.statvfs(spool.root).f_flag & os.ST_RDONLY:
        yield error(spool.root, "is mounted read-only", "look into the kernel's log, remount it")
    mount = mount_of(spool.root, mounts)
    if mount is not None:
        yield from judge_mount(spool.root, mount, watch=settings.watch)
    yield from _mounts_inside(spool, mounts)
    yield from _devices(spool)


def judge_mount(root: Path, mount: Mount, *, watch: str) -> Iterator[Finding]:
    """What follows from the kind of file system that `root` lies on."""
    if mount.is_remote:
        what = f"lies on {mount.kind}: neither flock between hosts nor file events are promised"
        if watch == "poll":
            yield note(root, what, "use one host only")
        else:
            yield warning(root, what, 'set watch = "poll" in genzo.toml; use one host only')
    elif mount.kind in _WITHOUT_LINKS:
        yield error(
            root, f"lies on {mount.kind}, which has no hard links", "use ext4, xfs or btrfs"
        )
    elif mount.kind in _PASSING:
        yield note(root, f"lies on {mount.kind} and is gone when the machine stops")
    elif mount.kind == "overlay":
        yield note(
            root,
            "lies on an overlay, as a container's own files do: it is gone with the container",
            "give the container a volume for it",
        )
    else:
        yield ok(root, f"lies on {mount.kind}, mounted at {mount.point}")


def _mounts_inside(spool: Spool, mounts: list[Mount]) -> Iterator[Finding]:
    for mount in mounts:
        if mount.point == spool.root or not mount.point.is_relative_to(spool.root):
            continue
        if mount.point.is_relative_to(spool.outgoing):
            yield note(mount.point, "is another mount: pictures are copied there, not linked")
        else:
            yield error(
                mount.point,
                f"is a mount ({mount.kind}) of its own: files can be neither linked nor renamed "
                "to it",
                f"umount {mount.point}, or make the whole spool one mount",
            )


def _devices(spool: Spool) -> Iterator[Finding]:
    device = spool.root.stat().st_dev
    for name in DIRECTORIES:
        path = spool.root / name
        if path != spool.outgoing and path.is_dir() and path.stat().st_dev != device:
            yield error(
                path,
                "is on another disk than the spool: files can be neither linked nor renamed to it",
                "move it onto the spool's disk; only outgoing/ may lie elsewhere",
            )

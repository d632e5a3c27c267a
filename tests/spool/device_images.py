"""File systems of our own on loop devices, and what a power cut would leave of them.

The file behind a loop device holds what reached the disk; what no sync covers is in the page
cache of the mounted file system alone. A copy of that file is the disk at the instant of a power
cut, and mounting the copy replays its journal.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Kind:
    """A file system: how one is made, and mounted beside its own copy, committing when told to."""

    name: str
    megabytes: int
    mkfs: tuple[str, ...]
    options: str


KINDS = (
    Kind("ext4", 1024, ("mkfs.ext4", "-q", "-F"), "commit=600"),
    Kind("xfs", 1024, ("mkfs.xfs", "-q", "-f"), "nouuid"),
    Kind("btrfs", 1024, ("mkfs.btrfs", "-q", "-f"), "commit=600"),
)


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted file system, and the image it lies in."""

    kind: Kind
    image: Path
    root: Path

    def sync(self) -> None:
        """Bring all there is to the disk."""
        subprocess.run(["sync", "-f", str(self.root)], check=True)

    @contextmanager
    def after_power_cut(self) -> Iterator[Path]:
        """Where the disk is mounted as a power cut at this moment would leave it."""
        copy = self.image.with_name("after")
        mount_point = self.image.with_name("after.mounted")
        subprocess.run(["cp", "--sparse=always", str(self.image), str(copy)], check=True)
        try:
            with _mounted(copy, self.kind, mount_point):
                yield mount_point
        finally:
            copy.unlink()


@contextmanager
def new_disk(kind: Kind) -> Iterator[Disk]:
    """A fresh file system. Skips the test where none can be made or mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    if shutil.which(kind.mkfs[0]) is None:
        pytest.skip(f"{kind.mkfs[0]} is not installed")
    with tempfile.TemporaryDirectory(prefix="genzo-disk-", dir=_memory()) as directory:
        image = Path(directory, "image")
        with image.open("wb") as file:
            file.truncate(kind.megabytes << 20)
        made = subprocess.run([*kind.mkfs, str(image)], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"{kind.mkfs[0]}: {made.stderr.strip()}")
        root = Path(directory, "mounted")
        with _mounted(image, kind, root):
            yield Disk(kind, image, root)


def _memory() -> str | None:
    """A directory in memory, which is fast to sync, where there is much of it."""
    with contextlib.suppress(FileNotFoundError):
        status = os.statvfs("/dev/shm")
        if status.f_bavail * status.f_frsize > 1 << 30:
            return "/dev/shm"
    return None


@contextmanager
def _mounted(image: Path, kind: Kind, mount_point: Path) -> Iterator[None]:
    mount_point.mkdir(exist_ok=True)
    # mount makes the loop device such that it goes with the mount.
    command = ["mount", "-t", kind.name, "-o", f"loop,{kind.options}"]
    mount = subprocess.run(
        [*command, str(image), str(mount_point)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"{kind.name} cannot be mounted here: {mount.stderr.strip()}")
    try:
        yield
    finally:
        _unmount(mount_point)


def _unmount(mount_point: Path) -> None:
    """Unmount for sure, if need be once the last file there is closed."""
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run(["umount", str(mount_point)], check=True, capture_output=True)
        return
    subprocess.run(["umount", "--lazy", str(mount_point)], check=True)

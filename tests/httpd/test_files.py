"""Files are opened name by name, and through no link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from httpd.files import open_regular


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "gallery" / "20261123" / "12" / "a.png"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"x")
    return made


def test_a_file_is_opened(path: Path) -> None:
    file = open_regular(path)
    assert file is not None
    with file:
        assert file.read() == b"x"


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_no_link_is_followed_at_any_depth(path: Path, depth: int) -> None:
    name = (path, *path.parents)[depth]
    moved = name.with_name("elsewhere")
    name.rename(moved)
    name.symlink_to(moved)
    assert path.read_bytes() == b"x"
    assert open_regular(path) is None


def test_the_gallery_itself_may_lie_elsewhere(path: Path, tmp_path: Path) -> None:
    (tmp_path / "gallery").rename(tmp_path / "disk")
    (tmp_path / "gallery").symlink_to(tmp_path / "disk")
    file = open_regular(path)
    assert file is not None
    file.close()


def test_what_is_no_file_is_not_opened_and_nothing_stays_open(path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    os.mkfifo(path.with_name("pipe"))
    for name in ("pipe", "..", "none"):
        assert open_regular(path.with_name(name)) is None
    assert open_regular(path.parent.parent / "none" / "a.png") is None
    assert len(os.listdir("/proc/self/fd")) == len(before)

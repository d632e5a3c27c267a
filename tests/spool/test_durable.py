from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from spool import durable
from tests.spool.crashes import killed_at_each_effect
from tests.spool.processes import as_root, in_children


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    path = tmp_path / "tmp"
    path.mkdir()
    return path


def test_a_name_is_given_once(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "file"
    assert durable.publish(path, b"first", scratch=scratch)
    assert not durable.publish(path, b"second", scratch=scratch)
    assert path.read_bytes() == b"first"
    assert list(scratch.iterdir()) == []


def _publish(path: str, scratch: str, number: int) -> list[str]:
    won = durable.publish(Path(path), str(number).encode(), scratch=Path(scratch))
    return [str(number)] if won else []


def test_of_many_processes_one_gives_the_name(tmp_path: Path, scratch: Path) -> None:
    each: list[tuple[object, ...]] = [
        (str(tmp_path / "file"), str(scratch), number) for number in range(4)
    ]
    winners = [number for result in in_children(_publish, each) for number in result]
    assert winners == [(tmp_path / "file").read_text()]


def test_a_replaced_file_has_the_new_content(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "file"
    durable.replace(path, b"first", scratch=scratch)
    durable.replace(path, b"second", scratch=scratch)
    assert path.read_bytes() == b"second"
    assert list(scratch.iterdir()) == []


def test_a_killed_replacement_leaves_the_old_content_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def prepare() -> Path:
        path.write_bytes(b"old")
        return path

    seen = set()
    for _ in killed_at_each_effect(
        prepare, lambda path: durable.replace(path, b"new", scratch=scratch)
    ):
        seen.add(path.read_bytes())
    assert seen <= {b"old", b"new"}
    assert b"old" in seen


def test_a_killed_publication_leaves_nothing_or_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def prepare() -> Path:
        path.unlink(missing_ok=True)
        return path

    contents = [
        path.read_bytes() if path.exists() else None
        for _ in killed_at_each_effect(
            prepare, lambda path: durable.publish(path, b"new", scratch=scratch)
        )
    ]
    assert set(contents) == {None, b"new"}


def test_modes_do_not_depend_on_the_umask(tmp_path: Path, scratch: Path) -> None:
    before = os.umask(0o077)
    try:
        durable.publish(tmp_path / "file", b"", scratch=scratch)
        durable.make_directory(tmp_path / "a" / "b", within=tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o2750
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o2750


def test_a_directory_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    durable.make_directory(tmp_path / "a", within=tmp_path)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


class _Disk:
    """Notes in which order files and directories are synced and named."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple[str, str]] = []
        fsync, link, rename = os.fsync, os.link, os.rename

        def noted_fsync(descriptor: int) -> None:
            self.log.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
            fsync(descriptor)

        def noted_link(source: Any, target: Any, **options: Any) -> None:
            self.log.append(("link", str(target)))
            link(source, target, **options)

        def noted_rename(source: Any, target: Any, **options: Any) -> None:
            self.log.append(("rename", str(target)))
            rename(source, target, **options)

        monkeypatch.setattr(os, "fsync", noted_fsync)
        monkeypatch.setattr(os, "link", noted_link)
        monkeypatch.setattr(os, "rename", noted_rename)

    def kinds(self, scratch: Path) -> list[tuple[str, str]]:
        return [
            (kind, "scratch file" if Path(path).parent == scratch else path)
            for kind, path in self.log
        ]


def test_a_file_is_synced_before_its_name_and_the_directories_after(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _Disk(monkeypatch)
    path = tmp_path / "file"
    durable.publish(path, b"x", scratch=scratch)
    assert disk.kinds(scratch) == [
        ("fsync", "scratch file"),
        ("link", str(path)),
        ("fsync", str(tmp_path)),
    ]
    disk.log.clear()
    durable.replace(path, b"y", scratch=scratch)
    assert disk.kinds(scratch) == [
        ("fsync", "scratch file"),
        ("rename", str(path)),
        ("fsync", str(tmp_path)),
        ("fsync", str(scratch)),
    ]


def test_a_file_that_was_published_before_is_synced_all_the_same(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.publish(tmp_path / "file", b"x", scratch=scratch)
    disk = _Disk(monkeypatch)
    durable.publish(tmp_path / "file", b"x", scratch=scratch)
    assert ("fsync", str(tmp_path)) in disk.log


def test_what_need_not_be_durable_syncs_nothing(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _Disk(monkeypatch)
    durable.publish(tmp_path / "a", b"x", scratch=scratch, durable=False)
    durable.replace(tmp_path / "a", b"y", scratch=scratch, durable=False)
    assert {kind for kind, _ in disk.log} == {"link", "rename"}


def test_a_new_directory_is_synced_from_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _Disk(monkeypatch)
    durable.make_directory(tmp_path / "a" / "b", within=tmp_path, durable=True)
    assert disk.log == [("fsync", str(tmp_path)), ("fsync", str(tmp_path / "a"))]


def test_a_failed_fsync_gives_no_name(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "injected")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="injected"):
        durable.publish(tmp_path / "file", b"x", scratch=scratch)
    assert not (tmp_path / "file").exists()
    assert list(scratch.iterdir()) == []


@as_root
def test_a_full_disk_leaves_neither_a_new_file_nor_a_torn_one(small_disk: Path) -> None:
    scratch = small_disk / "tmp"
    scratch.mkdir()
    durable.publish(small_disk / "old", b"old", scratch=scratch)
    for write in (durable.publish, durable.replace):
        with pytest.raises(OSError, match="No space left") as caught:
            write(small_disk / "new", b"x" * 2**20, scratch=scratch)
        assert caught.value.errno == errno.ENOSPC
        with pytest.raises(OSError, match="No space left"):
            durable.replace(small_disk / "old", b"x" * 2**20, scratch=scratch)
        assert list(scratch.iterdir()) == []
        assert sorted(path.name for path in small_disk.iterdir()) == ["old", "tmp"]
        assert (small_disk / "old").read_bytes() == b"old"


@as_root
def test_a_file_still_moves_on_a_full_disk(small_disk: Path) -> None:
    (small_disk / "ticket").write_bytes(b"x")
    with (small_disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
        durable.write_all(filler.fileno(), b"x" * 2**20)
    assert durable.move(small_disk / "ticket", small_disk / "moved")
    assert (small_disk / "moved").read_bytes() == b"x"


@as_root
def test_where_links_cannot_reach_a_file_is_copied(small_disk: Path, tmp_path: Path) -> None:
    source = tmp_path / "picture"
    source.write_bytes(b"picture")
    durable.link_or_copy(source, small_disk / "copy", scratch=small_disk)
    assert (small_disk / "copy").read_bytes() == b"picture"
    assert (small_disk / "copy").stat().st_nlink == 1


def test_where_links_reach_a_file_is_linked_and_twice_is_as_good(tmp_path: Path) -> None:
    source = tmp_path / "picture"
    source.write_bytes(b"picture")
    for _ in range(2):
        durable.link_or_copy(source, tmp_path / "link", scratch=tmp_path)
    assert (tmp_path / "link").samefile(source)


def test_a_link_that_is_linked_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert durable.link(tmp_path / "link", tmp_path / "other")
    assert (tmp_path / "other").is_symlink()


def test_a_file_that_is_gone_is_not_moved(tmp_path: Path) -> None:
    assert not durable.move(tmp_path / "gone", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_what_is_gone_is_removed_as_well(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    durable.remove([tmp_path / "gone", tmp_path / "there"])
    assert list(tmp_path.iterdir()) == []


def test_a_write_is_continued_where_it_was_cut_short(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, True)
    child = os.fork()
    if child == 0:
        os.close(reader)
        durable.write_all(writer, b"x" * 300_000)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert len(file.read()) == 300_000
    assert os.waitpid(child, 0)[1] == 0


def test_nothing_grows_where_the_spool_was(tmp_path: Path) -> None:
    gone = tmp_path / "spool" / "done"
    with pytest.raises(FileNotFoundError):
        durable.make_directory(gone / "20261123" / "12", within=gone)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_vanishes_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "day" / "hour"
    original = os.mkdir
    removals = 0

    def mkdir(path: str | Path, *arguments: Any) -> None:
        nonlocal removals
        if Path(path) == directory and removals < 2:
            removals += 1
            directory.parent.rmdir()
        original(path, *arguments)

    monkeypatch.setattr(os, "mkdir", mkdir)
    made = durable.within_directory(
        directory, lambda: (directory / "file").write_text("x"), within=tmp_path
    )
    assert made == 1
    assert removals == 2


def test_nothing_is_made_again_where_the_spool_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "spool"
    with pytest.raises(FileNotFoundError, match="the spool is gone"):
        durable.within_directory(gone / "day", lambda: None, within=gone)
    assert not gone.exists()

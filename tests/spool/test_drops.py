from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
from pathlib import Path, PurePath
from typing import Any

import pytest

from spool import drops
from spool.drops import MAX_FOLDERS, Signature, discard, is_candidate, look, may_be_job, read
from spool.layout import Spool
from spool.problems import Problem
from spool.strict_json import MAX_BYTES
from tests.spool.crashes import killed_at_each_effect
from tests.spool.processes import NOBODY, as_root, become, child


def _drop(spool: Spool, name: str, text: str = '{"prompt": "x"}') -> Path:
    path = spool.incoming / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _names(spool: Spool) -> list[str]:
    return [path.relative_to(spool.incoming).as_posix() for path in drops.walk(spool.incoming)]


@pytest.mark.parametrize(
    "name", ["a.json", "-rf.json", "a", "A.JSON", " .json", "a.json.txt", "改"]
)
def test_a_name_may_be_a_jobs(name: str) -> None:
    assert is_candidate(name)


@pytest.mark.parametrize(
    "name",
    [
        ".a.json",
        ".a.json.MdWKNL",
        "..json",
        "a.json~",
        "a.json.part",
        "a.json.partial",
        "a.json.filepart",
        "a.json.tmp",
        "a.json.PART",
        ".a.json.swp",
        "a.swp",
    ],
)
def test_a_name_of_an_unfinished_transfer_is_no_jobs(name: str) -> None:
    assert not is_candidate(name)


def test_a_walk_finds_jobs_in_sub_folders_and_follows_no_link(spool: Spool, tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "sub/c.json", "sub/x.json/inner.json"):
        _drop(spool, name)
    for name in (".hidden", ".dir/a.json", ".~tmp~/a.json", "sub/a.part"):
        _drop(spool, name)
    (spool.incoming / "link").symlink_to(tmp_path)
    os.mkfifo(spool.incoming / "sub" / "pipe")
    expected = ["a.json", "b.json", "link", "sub/c.json", "sub/pipe", "sub/x.json/inner.json"]
    assert _names(spool) == expected


@pytest.mark.parametrize(
    "name",
    ["a.json", "a/b.json", ".a.json", ".~tmp~/a.json", "a/.b/c.json", "a/b.part", "a.d/b.json"],
)
def test_an_arrival_is_looked_at_exactly_if_a_walk_would_find_it(spool: Spool, name: str) -> None:
    _drop(spool, name)
    assert (_names(spool) == [name]) == may_be_job(PurePath(name))


def test_folders_without_end_stop_no_walk(spool: Spool) -> None:
    deepest = PurePath(*["d"] * MAX_FOLDERS, "a.json")
    too_deep = PurePath(*["d"] * (MAX_FOLDERS + 1), "a.json")
    assert may_be_job(deepest)
    assert not may_be_job(too_deep)
    _drop(spool, str(deepest))
    _drop(spool, str(too_deep))
    subprocess.run(["mkdir", "-p", "d/" * 1500], cwd=spool.incoming, check=True)
    try:
        assert _names(spool) == [str(deepest)]
        drops.restore_set_aside(spool)
    finally:
        # Too deep for Python's own rmtree.
        subprocess.run(["rm", "-r", spool.incoming / "d"], check=True)


def test_a_drop_is_read_with_its_owner_and_its_name_below_the_drop_box(spool: Spool) -> None:
    path = _drop(spool, "sub/a.json")
    drop = read(spool, path)
    assert (drop.name, drop.path, drop.data) == ("sub/a.json", path, b'{"prompt": "x"}')
    assert drop.owner_uid == os.getuid()
    assert drop.signature == look(spool, path)


def test_a_link_is_not_followed(spool: Spool, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"prompt": "x"}')
    for name, target in (("a", secret), ("b", tmp_path / "gone"), ("c", spool.incoming / "c")):
        (spool.incoming / name).symlink_to(target)
        with pytest.raises(Problem, match="regular file"):
            read(spool, spool.incoming / name)


def test_a_pipe_a_socket_a_device_and_a_directory_are_not_waited_for(spool: Spool) -> None:
    os.mkfifo(spool.incoming / "pipe")
    (spool.incoming / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        # A socket's path may have 108 bytes only.
        here = os.open(spool.incoming, os.O_PATH)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        names = ["pipe", "directory", "socket"]
        if os.geteuid() == 0:
            os.mknod(spool.incoming / "device", 0o020666, os.makedev(1, 3))
            names.append("device")
        for name in names:
            with pytest.raises(Problem, match="regular file"):
                read(spool, spool.incoming / name)


def test_a_pipe_with_a_writer_is_not_read(spool: Spool) -> None:
    pipe = spool.incoming / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)
    os.write(descriptor, b'{"prompt": "x"}')
    with pytest.raises(Problem, match="regular file"):
        read(spool, pipe)
    os.close(descriptor)


def test_a_file_of_the_largest_size_is_read_and_a_larger_one_is_not(spool: Spool) -> None:
    path = _drop(spool, "a.json", "x" * MAX_BYTES)
    assert len(read(spool, path).data) == MAX_BYTES
    for size in (MAX_BYTES + 1, 2**40):
        os.truncate(path, size)
        with pytest.raises(Problem, match=f"{size} bytes.*at most {MAX_BYTES}") as caught:
            read(spool, path)
        assert caught.value.status == 413


def test_a_file_that_is_gone_is_gone(spool: Spool) -> None:
    with pytest.raises(FileNotFoundError):
        read(spool, spool.incoming / "gone.json")
    with pytest.raises(FileNotFoundError):
        look(spool, spool.incoming / "gone" / "a.json")


def test_a_hard_link_is_read_like_any_file(spool: Spool, tmp_path: Path) -> None:
    """To refuse it would let anyone who links a file prevent its acceptance."""
    (tmp_path / "a").write_text("{}")
    os.link(tmp_path / "a", spool.incoming / "a.json")
    assert read(spool, spool.incoming / "a.json").data == b"{}"


def _key(spool: Spool, path: Path) -> str:
    return read(spool, path).key


def test_the_same_file_sent_again_has_the_same_key(spool: Spool) -> None:
    path = _drop(spool, "a.json")
    os.utime(path, ns=(1, 10**18))
    key = _key(spool, path)
    path.unlink()
    _drop(spool, "a.json")
    os.utime(path, ns=(2, 10**18))
    assert _key(spool, path) == key


def test_another_name_time_or_content_makes_another_key(spool: Spool) -> None:
    keys = set()
    for name, text, time in (
        ("a.json", "{}", 1),
        ("b.json", "{}", 1),
        ("s/a.json", "{}", 1),
        ("a.json", "{}", 2),
        ("a.json", "[]", 1),
    ):
        path = _drop(spool, name, text)
        os.utime(path, ns=(time, time))
        keys.add(_key(spool, path))
    assert len(keys) == 5


def test_what_was_read_is_removed(spool: Spool) -> None:
    path = _drop(spool, "sub/a.json")
    assert discard(spool, path, read(spool, path).signature)
    assert list((spool.incoming / "sub").iterdir()) == []


def test_what_is_gone_already_counts_as_removed(spool: Spool) -> None:
    path = _drop(spool, "a.json")
    signature = read(spool, path).signature
    path.unlink()
    assert discard(spool, path, signature)


@pytest.mark.parametrize("name", ["a.json", "n" * 250 + ".json"])
@pytest.mark.parametrize(
    "how", ["replaced", "rewritten", "touched", "made a folder", "made a link"]
)
def test_what_took_the_place_of_a_read_file_stays(
    spool: Spool, tmp_path: Path, name: str, how: str
) -> None:
    path = _drop(spool, name)
    os.utime(path, ns=(1, 1))
    signature = read(spool, path).signature
    if how == "replaced":
        os.replace(_drop(spool, ".new", '{"prompt": "y"}'), path)
    elif how == "rewritten":
        path.write_text('{"prompt": "y"}')
    elif how == "touched":
        path.touch()
    else:
        path.unlink()
        if how == "made a folder":
            path.mkdir()
        else:
            path.symlink_to(tmp_path)
    assert not discard(spool, path, signature)
    assert [entry.name for entry in spool.incoming.iterdir()] == [name]
    if how in {"replaced", "rewritten"}:
        assert path.read_text() == '{"prompt": "y"}'


@pytest.mark.parametrize("name", ["a.json", "n" * 243, "n" * 244, "改" * 85])
def test_a_kill_at_any_line_of_a_removal_keeps_the_file_under_its_name(
    spool: Spool, name: str
) -> None:
    def dropped() -> Path:
        return _drop(spool, name)

    seen = set()
    for path in killed_at_each_effect(
        dropped, lambda path: discard(spool, path, read(spool, path).signature)
    ):
        drops.restore_set_aside(spool)
        names = [entry.name for entry in spool.incoming.iterdir()]
        assert names == [name]
        assert path.read_text() == '{"prompt": "x"}'
        seen.add(tuple(names))
    assert seen == {(name,)}


def test_a_name_set_aside_is_not_given_back_over_a_newer_file(spool: Spool) -> None:
    _drop(spool, ".genzo-taken.a.json", "old")
    _drop(spool, "a.json", "new")
    _drop(spool, "sub/.genzo-taken.b.json", "only")
    drops.restore_set_aside(spool)
    assert _names(spool) == ["a.json", "sub/b.json"]
    assert (spool.incoming / "a.json").read_text() == "new"
    assert (spool.incoming / "sub" / "b.json").read_text() == "only"
    assert len(list(spool.incoming.rglob("*"))) == 3


def test_a_link_in_the_place_of_a_sub_folder_leads_nowhere(spool: Spool, tmp_path: Path) -> None:
    """Else a stranger could have any file that the daemon may change removed for him."""
    victim = tmp_path / "elsewhere" / "victim.json"
    victim.parent.mkdir()
    victim.write_text('{"prompt": "x"}')
    path = _drop(spool, "sub/victim.json")
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(victim.parent)
    signature = Signature.of(victim.stat())
    with pytest.raises(FileNotFoundError):
        look(spool, path)
    with pytest.raises(FileNotFoundError):
        read(spool, path)
    discard(spool, path, signature)
    (victim.parent / ".genzo-taken.other.json").touch()
    drops.restore_set_aside(spool)
    names = sorted(entry.name for entry in victim.parent.iterdir())
    assert names == [".genzo-taken.other.json", "victim.json"]


def test_no_descriptor_is_left_open(spool: Spool) -> None:
    path = _drop(spool, "a/b/c.json")
    (spool.incoming / "link").symlink_to("a")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        read(spool, path)
        with pytest.raises(FileNotFoundError):
            look(spool, spool.incoming / "link" / "b" / "c.json")
        with pytest.raises(FileNotFoundError):
            look(spool, spool.incoming / "a" / "gone" / "c.json")
    assert len(os.listdir("/proc/self/fd")) == before


def _discard_as_nobody(root: str, looked: Any, go_on: Any, answer: Any) -> None:
    become(NOBODY)
    spool = Spool.open(Path(root))
    path = spool.incoming / "a.json"
    signature = look(spool, path)
    looked.set()
    go_on.wait(10)
    discarded = discard(spool, path, signature)
    drops.restore_set_aside(spool)
    answer.send((discarded, sorted(os.listdir(spool.incoming))))


@as_root
def test_a_strangers_file_that_may_not_be_linked_is_given_back_all_the_same(
    public_directory: Path,
) -> None:
    if Path("/proc/sys/fs/protected_hardlinks").read_text().strip() != "1":
        pytest.skip("fs.protected_hardlinks is off")
    spool = Spool.create(public_directory / "spool")
    for path in (spool.root, spool.root / "spool.json", spool.incoming):
        os.chown(path, NOBODY, NOBODY)
    path = _drop(spool, "a.json")
    _drop(spool, ".genzo-taken.b.json")
    context = multiprocessing.get_context("fork")
    looked, go_on = context.Event(), context.Event()
    answers, answer = context.Pipe(duplex=False)
    with child(_discard_as_nobody, str(spool.root), looked, go_on, answer):
        assert looked.wait(10)
        path.write_text('{"prompt": "replaced"}')
        go_on.set()
        assert answers.poll(10)
        assert answers.recv() == (False, ["a.json", "b.json"])
    assert path.read_text() == '{"prompt": "replaced"}'


def test_a_name_that_cannot_stand_in_json_is_told(tmp_path: Path) -> None:
    assert drops.is_utf8(PurePath("改/a.json"))
    assert not drops.is_utf8(PurePath(os.fsdecode(b"a\xff/a.json")))

"""The service's own user meets the files of root and of members of its group."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spool.layout import Spool
from tests.services import wait_for
from tests.spool.dropbox import (
    JOB,
    delivered_reason,
    drop_names,
    hasten,
    left_over,
    queued_tickets,
    reason,
    rejected,
)
from tests.spool.processes import NOBODY, as_root
from tests.spool.senders import DAEMON, MEMBER, ROOT, Sender, service_spool, serving

pytestmark = as_root

SCANS_SECONDS = 1.2
CLOSED = ["closed.json", "hidden.json", "others-secret.json", "private.json"]
NO_FILES = ["device.json", "dangling.json", "link.json", "pipe.json", "socket.json"]


@dataclass
class Session:
    """What became of everything that was dropped at once."""

    spool: Spool
    log: str
    left: list[str]
    accepted: list[str]
    immutable: bool


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    # pytest's own directories are closed to other users.
    home = Path(tempfile.mkdtemp(prefix="genzo-test-"))
    home.chmod(0o777)
    spool = service_spool(home)
    immutable: list[Path] = []
    try:
        with pytest.MonkeyPatch.context() as patch:
            hasten(patch)
            with serving(spool) as log:
                _drop_everything(spool, immutable)
                last = spool.rejected / "private.json.problem.json"
                wait_for(last.exists, seconds=20, what="the last refusal")
                wait_for(lambda: "good.json" in drop_names(spool), what="the good job")
                time.sleep(SCANS_SECONDS)
                left, accepted = left_over(spool), drop_names(spool)
                yield Session(spool, log.read_text(), left, accepted, bool(immutable))
    finally:
        for path in immutable:
            subprocess.run(["chattr", "-i", path], check=True)
        shutil.rmtree(home)


def _drop(spool: Spool, name: str, mode: int, sender: Sender = MEMBER, text: str = JOB) -> Path:
    path = spool.incoming / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.chown(path, sender.uid, DAEMON)
    path.chmod(mode)
    return path


def _drop_everything(spool: Spool, immutable: list[Path]) -> None:
    for name, text in (("immutable.json", JOB), ("immutable-bad.json", "no")):
        path = _drop(spool, name, 0o644, text=text)
        if not subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
            immutable.append(path)
    _drop(spool, "private.json", 0o600)
    _drop(spool, "closed.json", 0o000)
    _drop(spool, "hidden.json", 0o600, ROOT)
    _drop(spool, "open.json", 0o640)
    _drop(spool, "roots.json", 0o644, ROOT)
    _drop(spool, "setuid.json", 0o6755)
    _drop(spool, "bad.json", 0o644, text="no")
    locked = os.open(_drop(spool, "locked.json", 0o644), os.O_RDONLY)
    fcntl.flock(locked, fcntl.LOCK_EX)
    for name, mode in (("others.json", 0o644), ("others-secret.json", 0o600)):
        os.link(_drop(spool, f"../{name}", mode, ROOT), spool.incoming / name)
    # It arrives closed; the file in it would be seen while it still is open.
    _drop(spool, "../shut/a.json", 0o644)
    shut = spool.root / "shut"
    os.chown(shut, NOBODY, NOBODY)
    shut.chmod(0o700)
    shut.rename(spool.incoming / "shut")
    _drop_no_files(spool.incoming)
    _drop(spool, "good.json", 0o644)


def _drop_no_files(incoming: Path) -> None:
    os.mkfifo(incoming / "pipe.json")
    (incoming / "pipe.json").chmod(0o666)
    os.mknod(incoming / "device.json", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    (incoming / "link.json").symlink_to("/etc/passwd")
    (incoming / "dangling.json").symlink_to("gone")
    here = os.open(incoming, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/socket.json")
    os.close(here)
    for name in NO_FILES:
        os.chown(incoming / name, NOBODY, DAEMON, follow_symlinks=False)


def test_exactly_what_the_daemon_may_read_is_accepted(session: Session) -> None:
    expected = [
        "good.json",
        "immutable.json",
        "locked.json",
        "open.json",
        "others.json",
        "roots.json",
        "setuid.json",
    ]
    assert session.accepted == expected


def test_each_job_belongs_to_the_owner_of_its_file(session: Session) -> None:
    owners = {ticket.drop_name: ticket.owner_uid for ticket in queued_tickets(session.spool)}
    assert owners["good.json"] == NOBODY
    assert owners["roots.json"] == 0


@pytest.mark.parametrize("name", CLOSED)
def test_what_the_daemon_may_not_read_is_refused_with_the_remedy(
    session: Session, name: str
) -> None:
    assert "chmod g+r" in reason(session.spool, name)
    assert delivered_reason(session.spool, name) == reason(session.spool, name)
    assert name in rejected(session.spool)


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_regular_file_is_told_and_removed(session: Session, name: str) -> None:
    assert "send a copy" in reason(session.spool, name)
    assert name not in rejected(session.spool)


def test_an_immutable_file_is_dealt_with_once_and_stays(session: Session) -> None:
    if not session.immutable:
        pytest.skip("chattr +i is not to be had here")
    assert session.log.count("immutable.json") == 2
    assert session.log.count("immutable-bad.json") == 2
    assert session.log.count("or it is immutable") == 2
    assert "column 1" in reason(session.spool, "immutable-bad.json")


def test_only_what_the_daemon_may_not_remove_is_left(session: Session) -> None:
    stay = ["immutable-bad.json", "immutable.json"] if session.immutable else []
    assert session.left == [*stay, "shut/a.json"]


def test_a_folder_that_cannot_be_searched_is_said_once(session: Session) -> None:
    [line] = [line for line in session.log.splitlines() if "incoming/shut" in line]
    assert "chmod g+rx" in line


def test_nothing_else_is_said(session: Session) -> None:
    assert "Traceback" not in session.log
    assert session.log.count("stays until it can be taken") == 1
    assert session.log.count(": refused: ") == len(CLOSED) + len(NO_FILES) + 1 + session.immutable


def test_a_file_that_its_owner_leases_is_taken_when_the_lease_ends(
    public_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its opening fails then; whoever holds a lease is told, and loses it after a while."""
    hasten(monkeypatch)
    spool = service_spool(public_directory)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    with serving(spool) as log:
        leased = os.open(_drop(spool, "leased.json", 0o644), os.O_RDWR)
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        _drop(spool, "good.json", 0o644)
        wait_for(lambda: drop_names(spool) == ["good.json"], seconds=10)
        wait_for(lambda: "leased.json stays until" in log.read_text(), seconds=10)
        time.sleep(SCANS_SECONDS)
        assert log.read_text().count("leased.json stays until") == 1
        os.close(leased)
        wait_for(lambda: not left_over(spool), seconds=10)
    signal.signal(signal.SIGIO, before)
    assert drop_names(spool) == ["good.json", "leased.json"]


def test_a_dot_name_that_a_stranger_made_a_folder_keeps_no_file_from_being_removed(
    public_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasten(monkeypatch)
    spool = service_spool(public_directory)
    assert MEMBER.run("mkdir", spool.incoming / ".genzo-taken.a.json") == 0
    with serving(spool):
        _drop(spool, "a.json", 0o644)
        wait_for(lambda: drop_names(spool) == ["a.json"] and not left_over(spool), seconds=10)


def test_a_folder_in_the_place_of_a_file_is_not_taken_for_one(
    public_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be moved into rejected/, with the jobs in it."""
    hasten(monkeypatch)
    spool = service_spool(public_directory)
    with serving(spool) as log:
        path = _drop(spool, "a.json", 0o644, text="{")
        time.sleep(0.1)
        path.unlink()
        _drop(spool, "a.json/inside.json", 0o644)
        path.chmod(0o777)
        wait_for(lambda: drop_names(spool) == ["a.json/inside.json"], seconds=10)
        time.sleep(SCANS_SECONDS)
        assert "error" not in log.read_text().lower()
    assert path.is_dir()
    assert list(spool.rejected.iterdir()) == []


def test_a_file_with_all_the_links_it_can_have_is_refused_like_any(
    public_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasten(monkeypatch)
    spool = service_spool(public_directory)
    path = _drop(spool, "a.json", 0o666, text="no")
    farm = public_directory / "farm"
    farm.mkdir()
    try:
        for number in range(70_000):
            os.link(path, farm / str(number))
    except OSError:
        with serving(spool):
            wait_for(lambda: not left_over(spool), seconds=10)
        assert rejected(spool) == ["a.json"]
        assert "column 1" in reason(spool, "a.json")
    else:
        pytest.skip("this file system limits no links")

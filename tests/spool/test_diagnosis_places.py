"""`genzo doctor` on the drop box, the directories, the mounts and the machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from spool.checks import dropbox
from spool.checks.findings import Finding, Level
from spool.checks.machine import Events, judge_events, judge_links
from spool.checks.tree import Mount, judge_mount, mount_of, parse_mounts
from spool.diagnosis import diagnose
from spool.drops import ASIDE
from spool.layout import DIRECTORIES, MODES, Spool
from spool.settings import Settings
from tests.spool.diagnoses import faults, findings, held, notes, the_fault
from tests.spool.processes import NOBODY, as_root, become, child


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old at once; the time of their arrival cannot be set back."""
    monkeypatch.setattr(dropbox, "PATIENCE_SECONDS", -1.0)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    (finding,) = diagnose(tmp_path / "none", Settings(), gpus=False)
    assert finding.level is Level.ERROR
    assert "genzo init" in finding.remedy


def test_a_directory_without_a_marker_is_said(spool: Spool) -> None:
    (spool.root / "spool.json").unlink()
    assert "is not a spool: it has no spool.json" in the_fault(spool).what


def test_a_spool_of_another_format_is_said(spool: Spool) -> None:
    (spool.root / "spool.json").write_text('{"format": 9}')
    assert "says format 9" in the_fault(spool).what


def test_a_spool_behind_a_link_is_noted(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(spool.root)
    first = diagnose(tmp_path / "link", Settings(), gpus=False)[0]
    assert first.level is Level.NOTE
    assert str(spool.root) in first.what


@pytest.mark.parametrize(
    ("name", "mode", "remedy"),
    [("incoming", 0o777, "chmod 3730"), ("locks", 0o755, "chmod 700"), ("done", 0o777, "go-w")],
)
def test_a_mode_that_lets_others_in_is_said(
    spool: Spool, name: str, mode: int, remedy: str
) -> None:
    (spool.root / name).chmod(mode)
    assert remedy in the_fault(spool).remedy


def test_a_directory_that_is_a_link_is_said(spool: Spool, tmp_path: Path) -> None:
    spool.gallery.rename(tmp_path / "elsewhere")
    spool.gallery.symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in the_fault(spool).what


@as_root
def test_a_directory_of_another_users_is_said(spool: Spool) -> None:
    os.chown(spool.done, NOBODY, NOBODY)
    assert f"belongs to user {NOBODY}, the spool to root" in the_fault(spool).what


def test_a_mount_inside_the_spool_is_said_but_not_in_outgoing(small_disk: Path) -> None:
    root = small_disk.parent / "spool"
    spool = Spool.create(root)
    for directory in (spool.gallery, spool.outgoing):
        subprocess.run(["mount", "--bind", str(small_disk), str(directory)], check=True)
    try:
        said = {finding.where for finding in faults(spool)}
        noted = {finding.where for finding in notes(spool)}
    finally:
        for directory in (spool.gallery, spool.outgoing):
            subprocess.run(["umount", str(directory)], check=True)
    assert str(spool.gallery) in said
    assert str(spool.outgoing) in noted


def test_a_spool_that_is_mounted_read_only_is_said(small_disk: Path) -> None:
    spool = Spool.create(small_disk / "spool")
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    assert any("read-only" in finding.what for finding in faults(spool))
    assert any("lies on tmpfs" in finding.what for finding in findings(spool))


MOUNTS = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /srv/my\040spool rw - nfs4 host:/x rw,vers=4.2
23 21 0:6 / /srv/my\040spool rw shared:7 master:2 - fuse.sshfs host:/x rw
24 21 0:7 / /srv/my\040spoolside rw - tmpfs tmpfs rw
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/my spool/a", "fuse.sshfs"),
        ("/srv/my spoolside", "tmpfs"),
        ("/srv", "ext4"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: str, kind: str) -> None:
    mount = mount_of(Path(path), parse_mounts(MOUNTS))
    assert mount is not None
    assert mount.kind == kind


@pytest.mark.parametrize(
    ("kind", "watch", "level"),
    [
        ("nfs4", "events", Level.WARNING),
        ("cifs", "events", Level.WARNING),
        ("fuse.sshfs", "events", Level.WARNING),
        ("nfs4", "poll", Level.NOTE),
        ("vfat", "events", Level.ERROR),
        ("overlay", "events", Level.NOTE),
        ("tmpfs", "events", Level.NOTE),
        ("ext4", "events", Level.OK),
    ],
)
def test_each_kind_of_file_system_is_judged(kind: str, watch: str, level: Level) -> None:
    (finding,) = judge_mount(Path("/s"), Mount(Path("/"), kind), watch=watch)
    assert finding.level is level


def test_too_few_watches_and_instances_are_said() -> None:
    said = list(judge_events(Events(watches=10, instances=5), Events(watches=20, instances=3)))
    assert [finding.level for finding in said] == [Level.WARNING, Level.NOTE]
    assert said[0].remedy == "sysctl fs.inotify.max_user_watches=40"
    assert not list(judge_events(Events(1000, 128), Events(20, 3)))


def test_unprotected_links_are_said() -> None:
    assert [finding.level for finding in judge_links("0")] == [Level.WARNING]
    assert not list(judge_links("1"))


def test_files_wait_and_no_intake_runs(spool: Spool) -> None:
    (spool.incoming / "a.json").write_text("{}")
    assert the_fault(spool).what == "1 file waits and no intake runs"
    with held(spool, "intake"):
        assert faults(spool) == []


def _reasons(spool: Spool) -> dict[str, Finding]:
    with held(spool, "intake"):
        return {
            finding.where: finding
            for finding in findings(spool)
            if finding.where.startswith("incoming/")
        }


@pytest.mark.usefixtures("impatient")
def test_each_file_that_nobody_takes_is_explained(spool: Spool) -> None:
    deep = "/".join("abcdefghi")
    names = {
        f"{ASIDE}a.json": "was set aside",
        ".b.json.X1y2z3": "begins with a dot",
        ".~tmp~/c.json": "begins with a dot",
        "d.json.part": "unfinished transfer",
        f"{deep}/e.json": "lies 9 folders deep",
        "f.json": "nothing is wrong with it",
        "g\x1b]0;\x07.json": "nothing is wrong with it",
        os.fsdecode(b"h\xff.json"): "not valid UTF-8",
    }
    for name in names:
        path = spool.incoming / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    reasons = _reasons(spool)
    assert len(reasons) == len(names)
    for name, reason in names.items():
        shown = {"g\x1b]0;\x07.json": "g\\x1b]0;\\x07.json"}.get(name, name)
        shown = shown.encode("utf-8", "backslashreplace").decode()
        assert reason in reasons[f"incoming/{shown}"].what


def test_a_file_that_just_came_is_left_alone(spool: Spool) -> None:
    (spool.incoming / "f.json").write_text("{}")
    assert _reasons(spool) == {}


@pytest.mark.usefixtures("impatient")
def test_an_immutable_file_is_said(spool: Spool) -> None:
    path = spool.incoming / "a.json"
    path.write_text("{}")
    if subprocess.run(["chattr", "+i", str(path)], capture_output=True, check=False).returncode:
        pytest.skip("no file can be made immutable here")
    try:
        assert dropbox.is_immutable(path)
        finding = _reasons(spool)["incoming/a.json"]
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True)
    assert finding.remedy == f"chattr -i {path}"
    assert not dropbox.is_immutable(path)


@as_root
@pytest.mark.usefixtures("impatient")
def test_files_that_the_daemons_user_may_not_read_or_remove_are_said(
    public_directory: Path,
) -> None:
    spool = Spool.create(public_directory / "spool")
    for path in [spool.root, *spool.root.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    (spool.incoming / "theirs").mkdir(mode=0o755)
    (spool.incoming / "theirs" / "a.json").write_text("{}")
    (spool.incoming / "secret.json").write_text("{}")
    (spool.incoming / "secret.json").chmod(0o600)
    shown = public_directory / "shown"
    shown.touch()
    shown.chmod(0o666)

    def look() -> None:
        become(NOBODY)
        said = (f"{finding.where}: {finding.what}\n" for finding in findings(spool))
        shown.write_text("".join(said))

    with child(look) as process:
        process.join(20)
    text = shown.read_text()
    assert f"incoming/secret.json: cannot be read by user {NOBODY}" in text
    assert "incoming/theirs/a.json: stays" in text


@as_root
def test_another_user_is_told_what_it_may_not_see(public_directory: Path) -> None:
    spool = Spool.create(public_directory / "spool")
    spool.root.chmod(0o755)
    (spool.root / "spool.json").chmod(0o644)
    for name in DIRECTORIES:
        if name not in MODES:
            (spool.root / name).chmod(0o755)
    spool.work.chmod(0o755)

    def look() -> None:
        become(NOBODY)
        assert any("may not look at" in finding.what for finding in notes(spool))
        assert any("cannot be listed" in finding.what for finding in notes(spool))
        assert faults(spool) == []

    with child(look) as process:
        process.join(20)
        assert process.exitcode == 0

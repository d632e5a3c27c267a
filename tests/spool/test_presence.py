"""A spool that is removed, replaced, mounted over or changed while services run on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import intake, patience
from spool.layout import MODES, Spool
from spool.presence import Presence, SpoolGone, restore
from tests.services import wait_for
from tests.spool.dropbox import JOB, drop_names, logged, running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An intake that looks again soon."""
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.1)
    monkeypatch.setattr(intake, "SCAN_SECONDS", 0.2)
    monkeypatch.setattr(intake, "_TAKE_OVER_SECONDS", 0.1)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """An empty directory on which something can be mounted; unmounted at the end."""
    place = tmp_path / "place"
    place.mkdir()
    yield place
    while os.path.ismount(place):
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(place: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")


def test_a_spool_that_stays_is_present(spool: Spool) -> None:
    Presence(spool, spool.work).check()


@pytest.mark.parametrize("lost", ["", "spool.json", "work", "locks"])
def test_a_spool_of_which_a_part_is_gone_is_gone(spool: Spool, lost: str) -> None:
    presence = Presence(spool, spool.work)
    (spool.root / lost).rename(spool.root.with_name("elsewhere"))
    with pytest.raises(SpoolGone, match="gone"):
        presence.check()


def test_another_spool_in_its_place_is_not_taken_for_it(spool: Spool) -> None:
    presence = Presence(spool, spool.work)
    spool.root.rename(spool.root.with_name("elsewhere"))
    Spool.create(spool.root)
    with pytest.raises(SpoolGone, match="replaced"):
        presence.check()


def test_a_spool_that_is_mounted_over_is_gone(mounted: Path) -> None:
    presence = Presence(Spool.create(mounted / "spool"))
    _mount(mounted)
    with pytest.raises(SpoolGone, match="gone"):
        presence.check()


@pytest.mark.parametrize("name", sorted(MODES))
def test_a_mode_that_was_changed_is_given_back_and_said(spool: Spool, name: str) -> None:
    path = spool.root / name
    path.chmod(0o755)
    [sentence] = restore(spool)
    assert str(path) in sentence
    assert path.stat().st_mode & 0o7777 == MODES[name]
    assert restore(spool) == []


def test_a_directory_that_was_removed_is_made_again_with_its_mode(spool: Spool) -> None:
    shutil.rmtree(spool.incoming)
    [sentence] = restore(spool)
    assert "was missing" in sentence
    assert spool.incoming.stat().st_mode & 0o7777 == MODES["incoming"]


@pytest.mark.usefixtures("quick")
def test_intake_goes_on_in_a_spool_that_was_made_anew(spool: Spool) -> None:
    with logged() as log, running(spool):
        (spool.incoming / "first.json").write_text(JOB)
        wait_for(lambda: drop_names(spool) == ["first.json"])
        spool.root.rename(spool.root.with_name("elsewhere"))
        wait_for(lambda: any("intake waits" in line for line in log.lines))
        Spool.create(spool.root)
        (spool.incoming / "second.json").write_text(JOB)
        wait_for(lambda: drop_names(spool) == ["second.json"])
    assert len([line for line in log.lines if "intake waits" in line]) <= 3


@pytest.mark.usefixtures("quick")
def test_intake_waits_while_the_disk_is_away_and_makes_no_second_spool(mounted: Path) -> None:
    _mount(mounted)
    spool = Spool.create(mounted / "spool")
    with logged() as log, running(spool):
        (spool.incoming / "first.json").write_text(JOB)
        wait_for(lambda: drop_names(spool) == ["first.json"])
        subprocess.run(["umount", "--lazy", str(mounted)], check=True)
        wait_for(lambda: any("intake waits" in line for line in log.lines))
        assert list(mounted.iterdir()) == []
        _mount(mounted)
        Spool.create(mounted / "spool")
        (spool.incoming / "second.json").write_text(JOB)
        wait_for(lambda: drop_names(spool) == ["second.json"])


@pytest.mark.usefixtures("quick")
def test_intake_goes_on_when_only_the_drop_box_was_made_anew(spool: Spool) -> None:
    with running(spool):
        (spool.incoming / "first.json").write_text(JOB)
        wait_for(lambda: drop_names(spool) == ["first.json"])
        shutil.rmtree(spool.incoming)
        wait_for(spool.incoming.is_dir)
        assert spool.incoming.stat().st_mode & 0o7777 == MODES["incoming"]
        (spool.incoming / "second.json").write_text(JOB)
        wait_for(lambda: drop_names(spool) == ["first.json", "second.json"])


@pytest.mark.usefixtures("quick")
def test_intake_works_without_events(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS, where what another host drops makes none."""
    monkeypatch.setattr(intake, "SCAN_SECONDS", 60.0)
    monkeypatch.setattr("spool.watch.POLL_SECONDS", 0.1)
    with running(spool, watch="poll"):
        wait_for(lambda: spool.lock("intake").exists())
        (spool.incoming / "a.json").write_text(JOB)
        wait_for(lambda: drop_names(spool) == ["a.json"], seconds=10)

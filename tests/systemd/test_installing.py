from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from spool.installing import units
from spool.installing.advice import after_install
from spool.installing.place import Place
from spool.installing.sample import sample
from spool.settings import HttpSettings, Settings


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(
        is_user=True,
        programs=Path("/home/me/genzo/bin"),
        spool=Path("/data/spool"),
        config=tmp_path / "genzo.toml",
        units=tmp_path / "units",
        slots=("0", "1"),
    )


def test_every_line_of_the_first_configuration_may_be_uncommented() -> None:
    text = sample(Path("/data/spool"), "systemctl restart genzod.target")
    settings = Settings.model_validate(tomllib.loads(text))
    assert settings == Settings(spool=Path("/data/spool"))
    whole = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    everything = Settings.model_validate(tomllib.loads(whole))
    assert everything.model_copy(update={"model": ()}) == settings
    assert [model.name for model in everything.model] == ["illustrious"]


def test_the_units_of_a_user_have_neither_another_user_nor_a_sandbox(place: Place) -> None:
    for path, text in units.unit_files(place, HttpSettings()).items():
        assert not re.search(r"^(User|Group|Protect\w+|Private\w+|Device\w+)=", text, re.MULTILINE)
        assert "/opt/genzo" not in text
        assert "/var/spool/genzo" not in text
        assert "multi-user.target" not in text
        assert "HOME=" not in text  # it is where the configuration is
        if path.suffix == ".service":
            assert "/home/me/genzo/bin/genzo" in text


def test_the_socket_listens_where_the_configuration_says(place: Place) -> None:
    files = units.unit_files(place, HttpSettings(host="192.168.1.5", port=9000))
    socket = files[place.units / "genzo-httpd.socket"]
    assert re.findall(r"^ListenStream=(.*)$", socket, re.MULTILINE) == ["192.168.1.5:9000"]


def test_the_advice_names_the_places_of_this_installation(place: Place) -> None:
    text = after_install(place, HttpSettings(port=9000), "host", "me")
    assert "me@host:/data/spool/incoming/" in text
    assert "127.0.0.1:9000" in text
    assert "loginctl enable-linger me" in text


def test_a_dry_run_says_all_and_does_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "spool", "install", "--user", "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
        env={
            **{
                name: value
                for name, value in os.environ.items()
                if name[:4] not in {"XDG_", "GENZ"}
            },
            "HOME": str(home),
        },
    )
    assert ended.returncode == 0, ended.stderr
    assert "genzod@.service" in ended.stderr
    assert "systemctl --user enable --now" in ended.stderr
    assert list(home.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may install")
def test_whoever_is_not_root_is_told_of_the_two_ways(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "spool", "install"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "--user" in ended.stderr

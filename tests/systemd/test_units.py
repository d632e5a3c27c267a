from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spool.exits import Exit
from spool.installing import units
from spool.installing.place import Place
from spool.layout import MODES
from spool.settings import HttpSettings

UNITS = sorted(path for path in units.source().iterdir() if path.suffix in units.KINDS)
SERVICES = [path for path in UNITS if path.suffix == ".service"]
EXPOSURE = {"genzod@.service": 2.0, "genzo-httpd.service": 1.5, "genzo-clean.service": 1.5}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The units as an installation of this environment would write them."""
    place = Place(
        is_user=False,
        programs=Path(sys.prefix) / "bin",
        spool=tmp_path / "spool",
        config=tmp_path / "genzo.toml",
        units=tmp_path,
        slots=("0",),
    )
    for path, text in units.unit_files(place, HttpSettings()).items():
        path.write_text(text)
    return tmp_path


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say_about_a_unit(unit: Path, written: Path) -> None:
    said = subprocess.run(
        ["systemd-analyze", "verify", str(written / unit.name)],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{written}:", "PATH": "/usr/bin:/bin"},
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_exposed_no_more_than_it_has_to_be(unit: Path, written: Path) -> None:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(written / unit.name)],
        capture_output=True,
        text=True,
        check=True,
    )
    level = re.search(r"exposure level for \S+: ([\d.]+)", said.stdout)
    assert level is not None
    assert float(level[1]) <= EXPOSURE[unit.name]


def test_the_exit_status_that_prevents_a_restart_is_that_of_a_wrong_configuration() -> None:
    for name in ("genzod@.service", "genzo-httpd.service"):
        text = (units.source() / name).read_text()
        assert f"RestartPreventExitStatus={Exit.CONFIGURATION:d}\n" in text


def test_tmpfiles_give_the_directories_the_modes_of_the_spool() -> None:
    text = (units.source() / "tmpfiles.d" / "genzo.conf").read_text()
    lines = re.findall(r"^[dz] /var/spool/genzo/(\S+) (\d+) ", text, re.MULTILINE)
    assert {name: int(mode, 8) for name, mode in lines} == MODES

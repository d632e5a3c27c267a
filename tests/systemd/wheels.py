"""Wheels of this tree, to be installed on a machine: of its own version, and of one after it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).parents[2]
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "daemon", "httpd", "spool", "systemd")
_VERSION = re.compile(r'^version = "(.*)"$', re.MULTILINE)


def build_wheels(place: Path) -> Path:
    """Build `place`/present and `place`/next, each with one wheel; `place`."""
    sources = place.with_name(f"{place.name}-sources")
    sources.mkdir()
    for name in _SOURCES:
        if (TREE / name).is_dir():
            shutil.copytree(
                TREE / name, sources / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(TREE / name, sources)
    _build(sources, place / "present")
    project = sources / "pyproject.toml"
    project.write_text(_VERSION.sub(rf'version = "{next_version()}"', project.read_text(), count=1))
    _build(sources, place / "next")
    return place


def present_version() -> str:
    """The version that the tree has."""
    found = _VERSION.search((TREE / "pyproject.toml").read_text())
    assert found is not None
    return found[1]


def next_version() -> str:
    """One that pip takes for newer."""
    return f"{present_version()}.post1"


def _build(sources: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", str(folder)], cwd=sources, check=True, capture_output=True
    )

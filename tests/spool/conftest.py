"""A fresh spool for each test, and a place that other users reach."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.catalogue import Catalogue
from spool.layout import Spool
from tests.spool.samples import MODEL


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue({MODEL.name: MODEL})


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that every user may enter and add to; pytest's own are closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="genzo-test-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the machine reaches into a test."""
    for name in [name for name in os.environ if name.startswith("GENZO_")]:
        monkeypatch.delenv(name)

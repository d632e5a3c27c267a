"""One installed machine for all tests of this folder: booting and installing take seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systemd.machine import Machine, booted, why_not


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine on which `genzo install` has just run."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with booted(tmp_path_factory.mktemp("machine") / "layers") as machine:
        installed = machine.run("genzo", "install", seconds=300)
        assert "It works: " in installed.stderr, installed.stderr
        yield machine

"""One installed machine for all tests of this folder: booting and installing take seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systemd.machine import Machine, installed, why_not


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine on which genzo was installed, or the reason why there is none."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with installed(tmp_path_factory.mktemp("machine")) as machine:
        yield machine

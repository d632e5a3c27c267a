"""Listeners that are gone without a word are let go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.httpd.dead_listeners import GIVE_UP_SECONDS

# A network of its own, with a loopback device that can be taken down.
OWN_NETWORK = ["unshare", "--map-root-user", "--net"]


@pytest.mark.parametrize(("kind", "where"), [("silent", []), ("unplugged", OWN_NETWORK)])
def test_a_listener_that_is_dead_to_us_does_not_keep_its_connection(
    tmp_path: Path, kind: str, where: list[str]
) -> None:
    command = [
        *where,
        sys.executable,
        "-m",
        "tests.httpd.dead_listeners",
        str(tmp_path / "s"),
        kind,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < GIVE_UP_SECONDS

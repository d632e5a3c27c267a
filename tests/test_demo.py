from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.services import wait_for


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One whose temporary directory is the test's, by which its processes are known."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GENZO_")}
    return {**clean, "TMPDIR": str(tmp_path)}


def processes_of(tmp_path: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(tmp_path) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def test_without_a_terminal_it_makes_two_pictures_and_leaves_no_process(
    environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "spool", "demo", "--port", "0"]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    *pictures, address = ended.stdout.splitlines()
    assert [Image.open(path).size for path in pictures] == [(256, 256)] * 2
    assert address.startswith("Open http://127.0.0.1:")
    assert "20/20" in ended.stderr
    assert not processes_of(tmp_path)


def test_a_failure_ends_it_with_the_last_lines_of_the_log(
    environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "spool", "demo", "--port", "0"]
    broken = {**environment, "GENZO_DAEMON_DEVICE": "abacus"}
    ended = subprocess.run(
        command, env=broken, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 1
    assert "no device is named 'abacus'" in ended.stderr
    assert not processes_of(tmp_path)


def test_on_a_terminal_it_serves_until_interrupted(
    environment: dict[str, str], tmp_path: Path
) -> None:
    leader, follower = os.openpty()
    command = [sys.executable, "-m", "spool", "demo", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=follower, stderr=follower, start_new_session=True
    ) as demo:
        os.close(follower)
        shown = bytearray()

        def serves() -> bool:
            shown.extend(os.read(leader, 65536))
            return b"Ctrl-C ends it." in shown

        wait_for(serves, seconds=300, what="the demo to serve")
        assert processes_of(tmp_path)
        os.killpg(demo.pid, signal.SIGINT)
        # At the end of the last program on it, a terminal is no more.
        with contextlib.suppress(OSError):
            while text := os.read(leader, 65536):
                shown.extend(text)
        assert demo.wait(60) == 0, shown.decode()
    os.close(leader)
    assert not processes_of(tmp_path)

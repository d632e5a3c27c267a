"""Real genzod and genzo-httpd processes for tests and benchmarks."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spool.catalogue import SlotState, read_reports
from spool.layout import Spool

READY_SECONDS = 120.0
STOP_SECONDS = 60.0


def wait_for(
    condition: Callable[[], object],
    *,
    seconds: float = 60.0,
    what: str = "",
    every_seconds: float = 0.01,
) -> None:
    """Wait until `condition()` holds; fails the caller if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what or condition}")
        time.sleep(every_seconds)


def start(package: str, spool: Spool, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """Start `python -m package` on `spool`, its output going to `log`."""
    command = [sys.executable, "-m", package, "--spool", str(spool.root), *arguments]
    # No configuration of the machine may reach into a test.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GENZO_")}
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, cwd=spool.root
        )


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a service in order; its exit status."""
    process.terminate()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def log_of(process: subprocess.Popen[bytes]) -> str:
    """What a service has logged so far, wherever its spool lies by now."""
    return Path(f"/proc/{process.pid}/fd/2").read_text()


def start_daemon(
    spool: Spool, *arguments: str, slot: str = "0", log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start genzod and wait until it is ready to render."""
    log = log or Path(tempfile.mkstemp(suffix=".log", dir=spool.tmp)[1])
    process = start("daemon", spool, "--slot", slot, *arguments, log=log)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return any(
            report.pid == process.pid and report.state in {SlotState.IDLE, SlotState.RENDERING}
            for report in read_reports(spool)
        )

    wait_for(ready, seconds=READY_SECONDS, what="genzod to be ready")
    return process


@contextmanager
def running_daemon(
    spool: Spool, *arguments: str, slot: str = "0"
) -> Iterator[subprocess.Popen[bytes]]:
    """A genzod that is ready to render, ended at the end unless it ended before."""
    process = start_daemon(spool, *arguments, slot=slot)
    try:
        yield process
    finally:
        if process.poll() is None:
            stop(process)


@contextmanager
def running_httpd(spool: Spool, *arguments: str) -> Iterator[int]:
    """A genzo-httpd that answers; yields its port."""
    port = free_port()
    log = Path(tempfile.mkstemp(suffix=".log", dir=spool.tmp)[1])
    process = start("httpd", spool, "--port", str(port), *arguments, log=log)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{port}/healthz"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status) == 200
        return False

    try:
        wait_for(answers, what="genzo-httpd to answer")
        yield port
    finally:
        if process.poll() is None:
            stop(process)


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

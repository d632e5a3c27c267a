"""`genzo demo`: a fresh spool, both services, one dropped job and one posted one, two pictures."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spool.cli.watch import watch
from spool.layout import Spool
from spool.problems import SpoolError
from spool.states import job_ids_with_tickets

DROPPED = {"prompt": "a red circle on a white background", "seed": 7}
POSTED = {"prompt": "a red square to the left of a blue circle on a white background", "seed": 1}

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class DemoError(SpoolError):
    """The demonstration cannot go on; the message carries the last lines of the log."""


def demo(port: int) -> int:
    """Run the demonstration; 0 once both pictures are there.

    On a terminal the page stays up until Ctrl-C. Whatever happens, both services are ended.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    home = Path(tempfile.mkdtemp(prefix="genzo-demo-"))
    spool = Spool.create(home / "spool")
    address = f"http://127.0.0.1:{_usable(port)}"
    print(f"A fresh spool in {spool.root}\nStarting genzo-httpd and genzod …", file=sys.stderr)
    with (
        _service("httpd", spool, home, "--port", address.rpartition(":")[2]) as httpd,
        _service("daemon", spool, home, "--slot", "demo") as daemon,
    ):
        httpd.wait_for(f"{address}/healthz")
        dropped = _drop(spool, "hello.json")
        posted = _post(f"{address}/api/generate")
        print(f"Dropped incoming/hello.json, job {dropped}", file=sys.stderr)
        print(f"Posted to {address}/api/generate, job {posted}", file=sys.stderr)
        status = watch(spool, [dropped, posted], check=daemon.check)
        if status:
            raise DemoError(f"a job did not complete\n{daemon.last_lines()}")
        print(f"Open {address}/")
        if sys.stdout.isatty():
            _serve_until_interrupted(httpd, daemon)
    return 0


class _Service:
    """A running service and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raise DemoError if the service has ended."""
        status = self._process.poll()
        if status is not None:
            raise DemoError(f"{self._log.stem} ended with status {status}\n{self.last_lines()}")

    def wait_for(self, url: str) -> None:
        """Wait until `url` answers."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
            time.sleep(0.1)
        raise DemoError(f"{url} does not answer\n{self.last_lines()}")

    def last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join([f"The last lines of {self._log}:", *lines[-20:]])


@contextmanager
def _service(package: str, spool: Spool, home: Path, *arguments: str) -> Iterator[_Service]:
    log = home / f"{package}.log"
    command = [sys.executable, "-m", package, "--spool", str(spool.root), *arguments]
    with (
        log.open("wb") as output,
        # In a group of its own, since a terminal's Ctrl-C would end it before this program knows.
        subprocess.Popen(command, stdout=output, stderr=output, process_group=0) as process,
    ):
        try:
            yield _Service(process, log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _usable(port: int) -> int:
    """`port` if nothing listens there, else a free one."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                print(f"Port {candidate} is taken, another is used.", file=sys.stderr)
                continue
            free: int = probe.getsockname()[1]
            return free
    raise DemoError("no port is free on 127.0.0.1")


def _drop(spool: Spool, name: str) -> str:
    """Drop a job as any program may: written aside, then moved in. Returns its id."""
    text = json.dumps(DROPPED, indent=1)
    aside = spool.root.parent / name
    aside.write_text(text)
    aside.rename(spool.incoming / name)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        accepted = job_ids_with_tickets(spool)
        if accepted:
            return accepted.pop()
        time.sleep(0.02)
    raise DemoError(f"{spool.incoming / name} was not accepted")


def _post(url: str) -> str:
    request = urllib.request.Request(  # noqa: S310
        url, json.dumps(POSTED).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        document: dict[str, Any] = json.load(answer)
    return str(document["job_id"])


def _serve_until_interrupted(*services: _Service) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        print("Ctrl-C ends it.")
        while True:
            for service in services:
                service.check()
            time.sleep(0.5)

"""A running genzo for the page: a spool, a daemon and a server."""

from __future__ import annotations

import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from spool.layout import Spool
from spool.states import Status
from spool.views import job_view
from tests.services import READY_SECONDS, free_port, start, start_daemon, stop, wait_for

SMALL = {"width": 64, "height": 64, "steps": 4}


@dataclass
class Darkroom:
    """A spool whose daemon and server can go away and come back."""

    spool: Spool
    port: int
    options: tuple[str, ...] = ()
    daemon: subprocess.Popen[bytes] | None = None
    server: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, *options: str, with_daemon: bool = True) -> Iterator[Self]:
        """A genzo on a new spool; `options` are the server's."""
        room = cls(Spool.create(folder), free_port(), options)
        room.open_server()
        try:
            if with_daemon:
                room.wake_daemon()
            yield room
        finally:
            room.send_daemon_away()
            room.close_server()

    def wake_daemon(self) -> None:
        self.daemon = start_daemon(self.spool)

    def send_daemon_away(self) -> None:
        if self.daemon is not None:
            stop(self.daemon)
        self.daemon = None

    def open_server(self) -> None:
        """Start the server, on the same port each time."""
        log = Path(tempfile.mkstemp(suffix=".log", dir=self.spool.tmp)[1])
        options = ("--port", str(self.port), *self.options)
        self.server = start("httpd", self.spool, *options, log=log)
        wait_for(
            lambda: "listening on" in log.read_text(), seconds=READY_SECONDS, what="genzo-httpd"
        )

    def close_server(self) -> None:
        if self.server is not None:
            stop(self.server)
        self.server = None

    def post(self, prompt: str, **fields: Any) -> str:
        """Post a job; its id."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/generate",
            json.dumps({"prompt": prompt, **fields}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["job_id"])

    def render(self, prompt: str, **fields: Any) -> str:
        """Post a small job and wait for its pictures; its id."""
        job_id = self.post(prompt, **{**SMALL, **fields})
        wait_for(lambda: self._is_done(job_id), seconds=READY_SECONDS, what=job_id)
        return job_id

    def status(self, job_id: str) -> Status | None:
        """What the spool says of a job; None if it knows none of the name."""
        view = job_view(self.spool, job_id)
        return None if view is None else view.status

    def _is_done(self, job_id: str) -> bool:
        return self.status(job_id) is Status.COMPLETED

"""Real servers over real spools; a stand-in for the daemon moves the jobs."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from spool.layout import Spool
from spool.states import scan
from tests import services
from tests.httpd.stand_in import StandIn, report

TIMEOUT_SECONDS = 5.0
_LISTENING = re.compile(r"listening on http://[^ ]+:(\d+)")


@dataclass
class Event:
    """One server-sent event as a client parses it."""

    data: dict[str, Any]
    id: str | None = None


class Events:
    """The events of an open stream, one at a time."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.comments = 0
        self.retry: int | None = None
        self._lines = response.iter_lines()

    def next(self) -> Event:
        """The next event. Raises StopIteration at the end of the stream."""
        event_id, data = None, None
        while True:
            line = next(self._lines)
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif name == "id":
                event_id = value
            elif name == "data":
                data = json.loads(value)
            elif name == "retry":
                self.retry = int(value)
            elif line == "" and data is not None:
                return Event(data, event_id)
            else:
                assert line == "", f"unexpected line {line!r}"

    def until(self, **wanted: Any) -> Event:
        """The first event whose data holds `wanted`."""
        while True:
            event = self.next()
            if all(event.data.get(key) == value for key, value in wanted.items()):
                return event

    def rest(self) -> list[Event]:
        """Every event up to the end of the stream."""
        events = []
        while True:
            try:
                events.append(self.next())
            except StopIteration:
                return events


@dataclass
class Served:
    """A running server, its spool, and a client of it."""

    process: subprocess.Popen[bytes]
    spool: Spool
    port: int
    log: Path
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        base = f"http://127.0.0.1:{self.port}"
        self.client = httpx2.Client(base_url=base, timeout=TIMEOUT_SECONDS)

    def log_text(self) -> str:
        """What the server has logged so far, wherever its spool lies by now."""
        return services.log_of(self.process)

    def submit(self, prompt: str = "a red circle", **fields: Any) -> str:
        """Post a job; its id."""
        response = self.client.post("/api/generate", json={"prompt": prompt, **fields})
        assert response.status_code == 202, response.text
        job_id: str = response.json()["job_id"]
        return job_id

    @contextmanager
    def listen(self, job_id: str, last_event_id: str | None = None) -> Iterator[Events]:
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        with self.client.stream("GET", f"/api/sse/{job_id}", headers=headers) as response:
            assert response.status_code == 200, response.read()
            yield Events(response)


def start_server(spool: Spool, *arguments: str) -> Served:
    """Run genzo-httpd on a free port and wait until it listens."""
    # A file and not a pipe, which would fill up and stop the server.
    log = Path(tempfile.mkstemp(suffix=".log", dir=spool.tmp)[1])
    process = services.start("httpd", spool, "--port", "0", *arguments, log=log)

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        return _LISTENING.search(log.read_text()) is not None

    services.wait_for(listens, seconds=20, what="genzo-httpd to listen")
    match = _LISTENING.search(log.read_text())
    assert match is not None
    return Served(process, spool, int(match[1]), log)


def stop_server(served: Served) -> int:
    """End the server in order; its exit status."""
    served.client.close()
    return services.stop(served.process)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """A server of a new spool with one model."""
    spool = Spool.create(folder)
    report(spool)
    running = start_server(spool)
    yield running
    assert stop_server(running) == 0


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that most tests share; each uses jobs of its own."""
    with serving(tmp_path_factory.mktemp("spool") / "spool") as running:
        yield running


@pytest.fixture(scope="session")
def shared_daemon(served: Served) -> Iterator[StandIn]:
    daemon = StandIn(served.spool)
    yield daemon
    daemon.slot.release()


@pytest.fixture
def daemon(shared_daemon: StandIn) -> Iterator[StandIn]:
    """The stand-in for the daemon; what a test leaves in the queue is removed after it."""
    yield shared_daemon
    for directory in (shared_daemon.spool.queued, shared_daemon.slot.directory):
        for name in scan(directory):
            (directory / str(name)).unlink()


@pytest.fixture
def client(served: Served) -> httpx2.Client:
    return served.client


@pytest.fixture
def guide() -> str:
    """The API guide."""
    return (Path(__file__).parent / "api_guide_examples.ja.md").read_text(encoding="utf-8")

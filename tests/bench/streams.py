"""Thousands of listeners: how late they hear, what they cost, and what a kill costs them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from spool import acceptance
from spool.catalogue import Catalogue
from spool.claims import Slot
from spool.jobs import JobRequest
from spool.layout import Spool
from spool.live import LiveWriter, read_events
from spool.states import Status
from tests.httpd.event_source import EventSource
from tests.httpd.stand_in import Run
from tests.services import free_port, start, stop, wait_for

EVENTS_A_SECOND = 5
SECONDS = 20
_PADDING = "x" * 90  # an event of 200 bytes on the wire


@dataclass(frozen=True)
class Load:
    """What `clients` listeners of one job saw; `lost` counts events that any of them missed."""

    clients: int
    delays_ms: list[float]
    lost: int
    resident_bytes: int
    processor_share: float


def load(home: Path, clients: int) -> Load:
    """SECONDS of one job's progress to many listeners, the server on a core of its own."""
    with _running_job(home / "spool-load") as (run, server, port):
        listeners = _listeners(port, f"/api/sse/{run.claim.job_id}", clients)
        total = EVENTS_A_SECOND * SECONDS
        began, used = time.monotonic(), _cpu_seconds(server)
        for step in range(1, total + 1):
            time.sleep(max(0.0, began + step / EVENTS_A_SECOND - time.monotonic()))
            _write(run, step, total)
        share = (_cpu_seconds(server) - used) / (time.monotonic() - began)
        resident = psutil.Process(server.pid).memory_info().rss
        run.complete()
        heard = json.loads(listeners.communicate()[0])
    missing = sum(total - steps for steps in heard["steps"])
    lost = missing + (clients - heard["ends"])
    return Load(clients, heard["delays_ms"], lost, resident, share)


def idle_bytes(home: Path, clients: int) -> tuple[int, float]:
    """Resident memory with many listeners to whom nothing is said, and seconds to end them all."""
    with _running_job(home / "spool-idle") as (run, server, port):
        listeners = _listeners(port, f"/api/sse/{run.claim.job_id}", clients)
        time.sleep(1)
        resident = psutil.Process(server.pid).memory_info().rss
        began = time.monotonic()
        stop(server)
        seconds = time.monotonic() - began
        listeners.communicate()
    return resident, seconds


def faults_of_kills(home: Path, clients: int, kills: int) -> tuple[int, int]:
    """Kill and start the server under its listeners, at last while the job ends.

    Returns how many listeners missed or were told twice anything, and how many there were.
    """
    with _running_job(home / "spool-kills") as (run, server, port):
        path = f"/api/sse/{run.claim.job_id}"
        sources = [EventSource(port, path) for _ in range(clients)]

        def story() -> None:
            current, step = server, 0
            for _ in range(kills):
                for _ in range(20):
                    step += 1
                    _write(run, step, 20 * kills)
                    time.sleep(0.02)
                current.kill()
                current.wait()
                _write(run, step, 20 * kills)
                if step == 20 * kills:
                    run.complete()
                current = _server(run.spool, port)
            servers.append(current)

        servers: list[subprocess.Popen[bytes]] = []
        asyncio.run(_listen(sources, story))
        stop(servers[-1])
    lines = read_events(run.spool.events(run.claim.job_id))
    whole = ["final" if line.is_final else line.id for line in lines]
    told = [[event.id or "" for event in source.events] for source in sources]
    return sum(ids != whole[whole.index(ids[0]) :] for ids in told), clients


async def _listen(sources: list[EventSource], story: object) -> None:
    assert callable(story)
    tasks = [asyncio.create_task(source.run()) for source in sources]
    while not all(source.events for source in sources):
        await asyncio.sleep(0.05)
    await asyncio.to_thread(story)
    await asyncio.gather(*tasks)


@contextmanager
def _running_job(home: Path) -> Iterator[tuple[Run, subprocess.Popen[bytes], int]]:
    """A job that has begun, and a server on a core of its own where there are two."""
    spool = Spool.create(home)
    slot = Slot.acquire(spool, "bench")
    sender = acceptance.Sender("cli", 0)
    ticket = acceptance.draw_ticket(spool, JobRequest(prompt="x"), Catalogue(), sender)
    acceptance.admit(spool, ticket)
    claim = slot.claim(ticket.name)
    assert claim is not None
    run = Run(spool, claim.start(), LiveWriter(spool, ticket.job_id, 1))
    run.step(0)
    cores = sorted(os.sched_getaffinity(0))
    port = free_port()
    os.sched_setaffinity(0, cores[:1])
    server = _server(spool, port)
    os.sched_setaffinity(0, cores[1:] or cores)
    try:
        yield run, server, port
    finally:
        os.sched_setaffinity(0, cores)
        if server.poll() is None:
            stop(server)
        slot.release()


def _server(spool: Spool, port: int) -> subprocess.Popen[bytes]:
    log = Path(tempfile.mkstemp(suffix=".log", dir=spool.tmp)[1])
    server = start("httpd", spool, "--port", str(port), log=log)
    wait_for(lambda: "listening" in log.read_text(), what="genzo-httpd to listen")
    return server


def _listeners(port: int, path: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.listeners", str(port), path, str(count)]
    listeners = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert listeners.stdout is not None
    assert listeners.stdout.readline() == "ready\n"
    return listeners


def _write(run: Run, step: int, total: int) -> None:
    data = {"step": step, "total_steps": total, "sent": time.monotonic(), "padding": _PADDING}
    run.live.append(Status.PROCESSING, data)


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)

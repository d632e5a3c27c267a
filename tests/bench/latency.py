"""How soon genzo notices: a dropped job, and a line of progress."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path

from spool import acceptance
from spool.catalogue import Catalogue
from spool.claims import Slot
from spool.jobs import JobRequest
from spool.layout import Spool
from spool.live import LiveWriter
from spool.states import scan
from tests.bench.jobs import prompt
from tests.services import running_daemon, running_httpd

_DROPS = 60
_LINES = 300


def claim_latencies_ms(home: Path) -> list[float]:
    """From the rename into incoming/ to the ticket in the slot of an idle daemon."""
    spool = Spool.create(home / "spool-claims")
    latencies = []
    with running_daemon(spool, slot="bench"):
        for number in range(_DROPS):
            job = {"prompt": prompt(number), "steps": 1, "width": 64, "height": 64}
            drop = home / f"claim-{number}.json"
            drop.write_text(json.dumps(job))
            started = time.perf_counter()
            drop.rename(spool.incoming / drop.name)
            while not scan(spool.slot_of("bench")):
                time.sleep(0.0002)
            latencies.append(1000 * (time.perf_counter() - started))
            while scan(spool.slot_of("bench")):
                time.sleep(0.01)
            time.sleep(0.05 + 0.001 * (number % 7))
    return latencies


def stream_latencies_ms(home: Path) -> list[float]:
    """From the write of a progress line to its bytes in a client of the event stream."""
    spool = Spool.create(home / "spool-stream")
    slot = Slot.acquire(spool, "bench")
    sender = acceptance.Sender("cli", 0)
    ticket = acceptance.draw_ticket(spool, JobRequest(prompt="x"), Catalogue(), sender)
    acceptance.admit(spool, ticket)
    claim = slot.claim(ticket.name)
    assert claim is not None
    latencies = []
    with running_httpd(spool) as port, LiveWriter(spool, ticket.job_id, 1) as live:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", f"/api/sse/{ticket.job_id}")
        stream = connection.getresponse()
        live.progress(0, _LINES)
        _read_until(stream, 0)
        for step in range(1, _LINES + 1):
            time.sleep(0.01)
            started = time.perf_counter()
            live.progress(step, _LINES)
            _read_until(stream, step)
            latencies.append(1000 * (time.perf_counter() - started))
        connection.close()
    slot.release()
    return latencies


def _read_until(stream: http.client.HTTPResponse, step: int) -> None:
    while True:
        line = stream.readline()
        if line.startswith(b"data:") and json.loads(line[5:]).get("step") == step:
            return

"""How fast many dropped files are accepted, and how HTTP answers meanwhile."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from daemon.models import Models, specs_of
from spool import ids
from spool.catalogue import SlotReport, SlotState, publish_report
from spool.layout import Spool
from spool.settings import DaemonSettings
from spool.states import scan
from tests.bench.jobs import prompt
from tests.services import running_httpd

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What was dropped at once, how long its acceptance took, and the answers meanwhile."""

    files: int
    seconds: float
    answers_ms: list[float]


def acceptance(home: Path, files: int) -> Acceptance:
    """Rename `files` good jobs into incoming/ of a spool that genzo-httpd alone serves.

    Its one process then takes them in and answers, which is the hardest case for the answers.
    """
    spool = Spool.create(home / "spool-acceptance")
    entries = Models(specs_of((), DaemonSettings())).entries
    publish_report(spool, SlotReport("bench", SlotState.IDLE, ids.now(), 1, "cpu", entries))
    jobs = home / "many"
    jobs.mkdir()
    for number in range(files):
        (jobs / f"job-{number:05d}.json").write_text(json.dumps({"prompt": prompt(number)}))
    with running_httpd(spool) as port:
        latencies = []
        started = time.perf_counter()
        for name in sorted(os.listdir(jobs)):
            (jobs / name).rename(spool.incoming / name)
        posted = 0
        for path in itertools.cycle(("/healthz", "/api/info", "/api/jobs?limit=5", "")):
            latencies.append(_answer_ms(port, path))
            posted += not path
            if len(scan(spool.queued)) >= files + posted:
                break
        seconds = time.perf_counter() - started
    # Looked at by hand, not through what counts the answers.
    names = {json.loads(path.read_bytes())["drop_name"] for path in spool.queued.iterdir()} - {None}
    assert len(names) == files, f"{files - len(names)} of {files} files were missed"
    assert not os.listdir(spool.incoming)
    return Acceptance(files, seconds, latencies)


def _answer_ms(port: int, path: str) -> float:
    """How long a GET of `path`, or a POST of a job, takes, connection included."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    if path:
        connection.request("GET", path)
    else:
        connection.request("POST", "/api/generate", json.dumps({"prompt": "x"}), _JSON)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status < 300, f"{path or 'POST'}: {answer.status}"
    return 1000 * (time.perf_counter() - started)

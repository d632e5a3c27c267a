"""A real genzod, killed in three phases of its jobs: none is lost, and no pixel is another."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from spool.acceptance import Sender, admit, admit_keyed, draw_ticket, key_of
from spool.catalogue import Catalogue
from spool.control import Verb, command
from spool.gallery import PictureName, newest_first
from spool.jobs import JobRequest
from spool.layout import Spool
from spool.live import last_event
from spool.records import Record, read_record
from spool.states import Status, find
from spool.views import job_view
from tests.services import start_daemon, stop, wait_for
from tests.spool import invariants

LONG = JobRequest(prompt="a big blue star", width=128, height=128, steps=60, seed=9)
PAIR = JobRequest(prompt="a red circle", width=64, height=64, steps=4, seed=5, count=2)


class Genzod:
    """The daemon of slot 0."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._log = spool.root.with_name("genzod.log")
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return start_daemon(self._spool, log=self._log)

    def is_killed_when(self, moment: Callable[[], bool]) -> None:
        """Kill it as soon as `moment()` holds, and begin it anew."""
        while not moment():
            assert self._process.poll() is None, self._log.read_text()
            # Some of the moments last but a few milliseconds.
            time.sleep(0.0005)
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def end(self) -> None:
        if self._process.poll() is None:
            stop(self._process)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def genzod(spool: Spool) -> Iterator[Genzod]:
    daemon = Genzod(spool)
    yield daemon
    daemon.end()


def _submit(spool: Spool, request: JobRequest, drop_name: str | None = None) -> str:
    key = key_of(drop_name) if drop_name else None
    sender = Sender("drop" if drop_name else "cli", 0, drop_name, key)
    ticket = draw_ticket(spool, request, Catalogue.read(spool), sender)
    if key is None:
        admit(spool, ticket)
    else:
        assert admit_keyed(spool, ticket)
    return ticket.job_id


def _starts(spool: Spool, job_id: str) -> int:
    """How often the job was started, as the name of its ticket in a slot says."""
    found = find(spool, job_id)
    return found.name.starts if found and found.status is Status.PROCESSING else 0


def _step(spool: Spool, job_id: str, starts: int) -> int:
    last = last_event(spool.events(job_id))
    return last.data.get("step", 0) if last and last.data["starts"] == starts else 0


def _completed(spool: Spool, job_id: str) -> Record:
    wait_for(lambda: read_record(spool, job_id) is not None, what=f"the end of {job_id}")
    record = read_record(spool, job_id)
    assert record is not None
    assert record.status is Status.COMPLETED
    return record


def _pixels(spool: Spool, job_id: str) -> list[bytes]:
    record = read_record(spool, job_id)
    assert record is not None
    pictures = [PictureName(job_id, image.index).picture(spool) for image in record.images]
    return [Image.open(picture).convert("RGB").tobytes() for picture in pictures]


def test_three_kills_lose_nothing_and_change_no_pixel(spool: Spool, genzod: Genzod) -> None:
    long = _submit(spool, LONG)
    pair = _submit(spool, PAIR, drop_name="pair.json")

    genzod.is_killed_when(lambda: _starts(spool, long) == 1)
    genzod.is_killed_when(lambda: _step(spool, long, starts=2) > 5)

    # Two deaths of its own are enough; the job behind it is not to wait for that.
    view = job_view(spool, long)
    assert view is not None
    assert view.status is Status.HELD
    assert view.error is not None
    assert "died 2 times" in view.error["detail"]

    genzod.is_killed_when(PictureName(pair, 1).thumbnail(spool).exists)

    # A death while its pictures are published is not the job's.
    assert _completed(spool, pair).starts == 1
    assert command(spool, Verb.RELEASE, long)
    twins = _submit(spool, LONG), _submit(spool, PAIR)
    assert _completed(spool, long).starts == 1
    for job_id in twins:
        _completed(spool, job_id)
    wait_for(lambda: not list(spool.active.glob("*/*.json")), what="the last ticket's end")
    invariants.check(spool, [long, pair, *twins])
    assert len(list(newest_first(spool))) == 2 * (LONG.count + PAIR.count)
    assert [_pixels(spool, long), _pixels(spool, pair)] == [_pixels(spool, twin) for twin in twins]

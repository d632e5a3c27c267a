"""`python -m tests.bench.gallery [PICTURES]`: the gallery's figures, beside their bounds.

Makes a spool of that many pictures, a million if none is said, in some two minutes, 6 GB and a
million inodes in the folder for temporary files, and removes it. `make bench` takes a smaller one.
Every latency is that of one client, which sends the next request when it has the answer; beside
it stands the processor time that the server took for each, which a busy machine does not change.
"""

from __future__ import annotations

import http.client
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil

from spool import gallery, ids
from spool.feed import announce
from spool.gallery import PictureName
from spool.layout import Spool
from tests import services
from tests.bench.large_gallery import make_gallery, name_of, record, record_template
from tests.bench.statistics import quantile

_MILLION = 1_000_000
_REQUESTS = 500
_EVENTS = 100
_PER_PAGE = 50
_PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(100)

_SEARCHES = (
    "cat",
    "red castle",
    "ax",
    "axolotl",
    "masterpiece",
    "夕焼け",
    "猫",
    "金閣寺",
    "a",
    "zzz",
)


def gallery_figures(home: Path, pictures: int) -> Iterator[str]:
    """Make a gallery of `pictures` in `home` and measure it: one line a figure."""
    spool = Spool.create(home / "spool-gallery")
    began = time.monotonic()
    make_gallery(spool, pictures)
    yield f"gallery of {pictures:,} pictures made in {time.monotonic() - began:.0f} s"
    yield from measured(spool, pictures)


def measured(spool: Spool, pictures: int) -> Iterator[str]:
    """The figures of a gallery that has no index yet."""
    newest = str(name_of(pictures, pictures - 1))
    with _Server.started(spool, newest) as server:
        seconds = server.start_seconds
        yield f"start-up to the newest page, without index: {seconds:.2f} s (under 2 s)"
        yield _line("picture to its event, index being built", server.events(), 50)
        yield _line("first page, index being built", server.pages(dict), 20)
        seconds = server.wait_for_index()
        size = sum(path.stat().st_size for path in spool.cache.iterdir())
        yield f"index built {seconds:.0f} s after the start; it has {size >> 20} MiB"
        yield from _with_index(server, pictures)
        yield f"resident memory, at most: {server.peak_mib():.0f} MiB (under 200 MiB)"
    with _Server.started(spool, None) as server:
        yield f"start-up to the newest page, with index: {server.start_seconds:.2f} s (under 1 s)"


def _with_index(server: _Server, pictures: int) -> Iterator[str]:
    draw = random.Random(1)
    yield _line("GET /healthz, to compare", server.timed(["/healthz"] * _REQUESTS), None)
    yield _line("first page", server.pages(dict), 20)
    deep = max(0, min(pictures - 2 * _PER_PAGE, 9_999 * _PER_PAGE))
    number = f"{deep // _PER_PAGE + 1:,}"
    yield _line(f"page {number}", server.pages(lambda: {"offset": deep}), 20)
    anywhere = server.pages(lambda: {"offset": draw.randrange(pictures)})
    yield _line("any page by its offset", anywhere, 20)
    yield _line("a search", server.pages(lambda: {"q": draw.choice(_SEARCHES)}), 20)
    of_model = server.pages(lambda: {"model": "zimage", "offset": draw.randrange(pictures // 4)})
    yield _line("any page of one model", of_model, 20)
    names = [name_of(pictures, draw.randrange(pictures)) for _ in range(_REQUESTS)]
    thumbnails = server.timed(f"/api/thumbs/{name}" for name in names)
    yield _line("an unconditional GET of a thumbnail", thumbnails, 20)
    yield _line("picture to its event", server.events(), 50)


@dataclass(frozen=True, slots=True)
class _Times:
    """How long each took, and the server's processor time for one, in milliseconds."""

    taken_ms: list[float]
    processor_ms: float


class _Server:
    """A running genzo-httpd, and one connection to it."""

    def __init__(self, spool: Spool, port: int, process: psutil.Process) -> None:
        self.start_seconds = 0.0
        self._spool = spool
        self._port = port
        self._process = process
        self._began = time.monotonic()
        self._peak = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    @classmethod
    @contextmanager
    def started(cls, spool: Spool, newest: str | None) -> Iterator[_Server]:
        """Start a server; `newest` is what its first page has to begin with, if that is known."""
        port = services.free_port()
        log = Path(tempfile.mkstemp(suffix=".log", dir=spool.tmp)[1])
        began = time.monotonic()
        process = services.start("httpd", spool, "--port", str(port), log=log)
        server = cls(spool, port, psutil.Process(process.pid))
        try:
            page = server._first_page()
            server.start_seconds = time.monotonic() - began
            assert page["images"][0]["filename"] == (newest or page["images"][0]["filename"])
            assert len(page["images"]) == _PER_PAGE
            yield server
        finally:
            services.stop(process)

    def _first_page(self) -> dict[str, list[dict[str, str]]]:
        while True:
            try:
                document: dict[str, list[dict[str, str]]] = json.loads(self._get("/api/images"))
            except ConnectionRefusedError:
                self._connection.close()
                time.sleep(0.005)
            else:
                return document

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    def pages(self, query: Callable[[], dict[str, object]]) -> _Times:
        return self.timed(f"/api/images?{urlencode(query())}" for _ in range(_REQUESTS))

    def timed(self, paths: Iterable[str]) -> _Times:
        taken = []
        self._connection.close()  # the server does not keep one that was idle for seconds
        processor = self._processor_seconds()
        for path in paths:
            began = time.perf_counter()
            self._get(path)
            taken.append(1000 * (time.perf_counter() - began))
        processor = self._processor_seconds() - processor
        self._note_memory()
        return _Times(taken, 1000 * processor / len(taken))

    def events(self) -> _Times:
        """From the line in the feed to the event in a client of the gallery's stream."""
        seen: dict[str, float] = {}
        stream = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        stream.request("GET", "/api/sse/gallery")
        answer = stream.getresponse()

        def read() -> None:
            while len(seen) < _EVENTS:
                line = answer.readline()
                if line.startswith(b"id: "):
                    seen[line[4:].strip().decode()] = time.perf_counter()

        reader = threading.Thread(target=read)
        reader.start()
        sent = {}
        template = record_template()
        processor = self._processor_seconds()
        for _ in range(_EVENTS):
            name = PictureName(ids.at(time.time_ns() // 1_000_000), 0)
            path = self._spool.record(name.job_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record(template, 0, name))
            gallery.publish_picture(self._spool, name, _PIXEL, _PIXEL)
            sent[str(name)] = time.perf_counter()
            announce(self._spool, str(name), {"job_id": name.job_id})
            time.sleep(0.05)
        reader.join()
        processor = self._processor_seconds() - processor
        stream.close()
        taken = [1000 * (seen[name] - began) for name, began in sent.items()]
        return _Times(taken, 1000 * processor / _EVENTS)

    def _processor_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def wait_for_index(self) -> float:
        """Seconds from the start until the index was whole."""
        while json.loads(self._get("/api/images?limit=1"))["total"] is None:
            self._note_memory()
            time.sleep(0.5)
        return time.monotonic() - self._began

    def peak_mib(self) -> float:
        self._note_memory()
        return self._peak / (1 << 20)

    def _note_memory(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)


def _line(what: str, times: _Times, bound_ms: float | None) -> str:
    middle, late = statistics.median(times.taken_ms), quantile(times.taken_ms, 0.99)
    bound = "" if bound_ms is None else f" (under {bound_ms} ms)"
    return (
        f"{what}: median {middle:.1f} ms, 99 % {late:.1f} ms{bound}, "
        f"processor {times.processor_ms:.1f} ms of {len(times.taken_ms)}"
    )


def main() -> None:
    """Take all figures of one gallery."""
    pictures = int(sys.argv[1]) if len(sys.argv) > 1 else _MILLION
    with tempfile.TemporaryDirectory(prefix="genzo-bench-") as home:
        for line in gallery_figures(Path(home), pictures):
            print(line, flush=True)


if __name__ == "__main__":
    main()

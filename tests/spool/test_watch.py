from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from watchdog.events import FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEvent

from spool import watch
from spool.claims import Slot
from spool.layout import Spool
from spool.live import LiveWriter
from spool.watch import WRITES, Watch, arrived_at
from tests.services import wait_for
from tests.spool.processes import child
from tests.spool.samples import queue_job


class _Events:
    """The events that came, with the instants of their coming."""

    def __init__(self) -> None:
        self.queue: queue.Queue[tuple[float, FileSystemEvent]] = queue.Queue()

    def __call__(self, event: FileSystemEvent) -> None:
        self.queue.put((time.monotonic(), event))

    def next(self, path: Path) -> tuple[float, FileSystemEvent]:
        """The next event of an arrival at `path`."""
        while True:
            instant, event = self.queue.get(timeout=10)
            if arrived_at(event) == path:
                return instant, event


@pytest.fixture
def events() -> _Events:
    return _Events()


def test_a_file_that_was_renamed_into_place_is_told_from_one_that_is_written(
    tmp_path: Path, events: _Events
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with Watch(inside, events):
        (inside / "written").touch()
        assert isinstance(events.next(inside / "written")[1], FileCreatedEvent)
        (tmp_path / "outside").touch()
        (tmp_path / "outside").rename(inside / "from-outside")
        moved = events.next(inside / "from-outside")[1]
        assert isinstance(moved, FileMovedEvent)
        assert (moved.src_path, moved.dest_path) == ("", str(inside / "from-outside"))
        (inside / ".hidden").touch()
        (inside / ".hidden").rename(inside / "from-inside")
        moved = events.next(inside / "from-inside")[1]
        assert isinstance(moved, FileMovedEvent)
        assert moved.dest_path


def test_a_file_that_is_moved_out_has_no_destination(tmp_path: Path, events: _Events) -> None:
    """So intake knows that nothing whole has come."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a").touch()
    with Watch(inside, events):
        (inside / "a").rename(tmp_path / "a")
        event = events.next(inside / "a")[1]
    assert isinstance(event, FileMovedEvent)
    assert event.dest_path == ""


def test_an_exception_of_the_handler_ends_no_later_event(tmp_path: Path, events: _Events) -> None:
    def fail_at_first(event: FileSystemEvent) -> None:
        if arrived_at(event).name == "bad":
            raise RuntimeError("a fault of the handler's")
        events(event)

    with Watch(tmp_path, fail_at_first):
        for name in ("bad", "good", "bad", "better"):
            (tmp_path / name).unlink(missing_ok=True)
            (tmp_path / name).touch()
        events.next(tmp_path / "good")
        events.next(tmp_path / "better")


def test_a_handlers_exception_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: FileSystemEvent) -> None:
        raise RuntimeError("a fault of the handler's")

    with Watch(tmp_path, fail):
        (tmp_path / "a").touch()
        wait_for(lambda: "a fault of the handler's" in caplog.text, seconds=10)
    assert str(tmp_path / "a") in caplog.text


def test_an_arrival_right_after_a_claim_is_seen_at_once(spool: Spool, events: _Events) -> None:
    """A rename out of a watched directory would delay every later event by half a second."""
    slot = Slot.acquire(spool, "gpu0")
    delays = []
    with Watch(spool.work, events):
        for _ in range(7):
            claim = slot.claim(queue_job(spool).name)
            assert claim is not None
            began = time.monotonic()
            ticket = queue_job(spool)
            instant, _ = events.next(spool.queued / str(ticket.name))
            delays.append(instant - began)
            claim.start()
    assert statistics.median(delays) < 0.1


def test_lines_of_progress_are_seen_as_writes(spool: Spool, events: _Events) -> None:
    path = spool.events("20261123T121728417-7f3a9c")
    with (
        LiveWriter(spool, path.stem, 1) as live,
        Watch(spool.live, events, events=WRITES),
    ):
        live.progress(1, 2)
        assert isinstance(events.next(path)[1], FileModifiedEvent)


def test_a_folder_that_comes_later_is_watched_too(tmp_path: Path, events: _Events) -> None:
    with Watch(tmp_path, events):
        (tmp_path / "a" / "b").mkdir(parents=True)
        events.next(tmp_path / "a")
        wait_for(lambda: _seen(tmp_path / "a" / "b", events), seconds=10)


def _seen(folder: Path, events: _Events) -> bool:
    path = folder / str(time.monotonic_ns())
    path.touch()
    try:
        while True:
            if arrived_at(events.queue.get(timeout=0.2)[1]) == path:
                return True
    except queue.Empty:
        return False


def test_a_name_that_is_not_utf_8_arrives_as_it_is(tmp_path: Path, events: _Events) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9")
    with Watch(tmp_path, events):
        path.touch()
        events.next(path)


def test_a_missing_directory_cannot_be_watched_and_leaves_no_handler(tmp_path: Path) -> None:
    before = list(watch._OVERFLOW_LOG.handlers)
    with (
        pytest.raises(OSError, match="No such file"),
        Watch(tmp_path / "gone", print, on_scan=print),
    ):
        pass
    assert watch._OVERFLOW_LOG.handlers == before


def _watch_and_tell(directory: str, ready: Any, overflowed: Any) -> None:
    with Watch(Path(directory), lambda _: None, on_scan=overflowed.set):
        ready.set()
        signal.pause()


def test_events_that_the_kernel_dropped_are_told(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 50_000:
        pytest.skip(f"the kernel keeps {limit} events here")
    context = multiprocessing.get_context("fork")
    ready, overflowed = context.Event(), context.Event()
    with child(_watch_and_tell, str(tmp_path), ready, overflowed) as process:
        assert ready.wait(10)
        os.kill(process.pid, signal.SIGSTOP)
        # Two names in turn, since equal events in a row are one; each rename is two events.
        first, second = tmp_path / "a", tmp_path / "b"
        first.touch()
        for _ in range(limit // 4 + 100):
            first.rename(second)
            second.rename(first)
        assert not overflowed.is_set()
        os.kill(process.pid, signal.SIGCONT)
        assert overflowed.wait(20)


def test_other_warnings_of_watchdog_are_no_overflow(tmp_path: Path) -> None:
    calls: list[str] = []
    with Watch(tmp_path, lambda _: None, on_scan=lambda: calls.append("overflow")):
        logger = logging.getLogger("watchdog.observers.inotify_c")
        logger.warning("something else")
        assert calls == []


def test_a_watch_that_cannot_begin_keeps_no_inotify_instance(tmp_path: Path) -> None:
    def instances() -> int:
        links = (os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
        return sum(link == "anon_inode:inotify" for link in links)

    before = instances()
    for _ in range(3):
        with pytest.raises(FileNotFoundError), Watch(tmp_path / "missing", print):
            pass
    assert instances() == before


def test_where_no_events_can_be_had_it_is_polled_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "FALLBACK_SECONDS", 0.05)
    scans: queue.Queue[None] = queue.Queue()
    missing = tmp_path / "missing"
    with watch.watching("events", missing, print, on_scan=lambda: scans.put(None)):
        for _ in range(3):
            scans.get(timeout=10)
    assert "no file events" in caplog.text
    assert str(missing) in caplog.text

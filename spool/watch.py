"""File system events as wake-ups. They may be lost; whoever waits for one scans as well.

Where a file system has none (NFS reports nothing that another host did) the clock wakes instead.
Three traps of watchdog are met here once: an exception in a handler would end its thread, a
queue that overflows is only logged, and each observer costs an inotify instance.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyObserver

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
FALLBACK_SECONDS = 5.0

ARRIVALS: tuple[type[FileSystemEvent], ...] = (
    FileCreatedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
)
WRITES: tuple[type[FileSystemEvent], ...] = (FileModifiedEvent,)


class Watch(FileSystemEventHandler):
    """Calls `on_event` in a thread of its own for events below `directory`.

    `directory` must be real (see `Spool.open`). Arrivals by rename come as FileMovedEvent, from
    outside with an empty `src_path`. `on_scan` is called when the kernel dropped events.
    """

    def __init__(
        self,
        directory: Path,
        on_event: Callable[[FileSystemEvent], None],
        *,
        events: Sequence[type[FileSystemEvent]] = ARRIVALS,
        on_scan: Callable[[], None] | None = None,
    ) -> None:
        self._on_event = on_event
        self._overflow = _OverflowHandler(on_scan) if on_scan else None
        self._directory = directory
        self._events = list(events)

    def __enter__(self) -> Self:
        self._observer = InotifyObserver(generate_full_events=True)
        self._observer.schedule(self, self._directory, recursive=True, event_filter=self._events)
        try:
            self._observer.start()
        except BaseException:
            # It has an inotify instance by now, of which a user has 128.
            self._observer.on_thread_stop()
            raise
        if self._overflow:
            _OVERFLOW_LOG.addHandler(self._overflow)
        return self

    def __exit__(self, *exception: object) -> None:
        self._observer.stop()
        self._observer.join()
        if self._overflow:
            _OVERFLOW_LOG.removeHandler(self._overflow)

    def on_any_event(self, event: FileSystemEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            # The observer's thread would die, and with it every later event.
            log.exception("handler of %s failed; the next scan makes up for it", event)


class Poll(threading.Thread):
    """Calls `on_scan` every `seconds`; the watch of a file system that has no events."""

    def __init__(self, on_scan: Callable[[], None], seconds: float) -> None:
        super().__init__(name="poll", daemon=True)
        self._on_scan = on_scan
        self._seconds = seconds
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(self._seconds):
            self._on_scan()


@contextmanager
def watching(
    mode: Literal["events", "poll"],
    directory: Path,
    on_event: Callable[[FileSystemEvent], None],
    *,
    on_scan: Callable[[], None],
    events: Sequence[type[FileSystemEvent]] = ARRIVALS,
) -> Iterator[None]:
    """Watch `directory` as the setting `watch` says; poll it where events cannot be had."""
    with contextlib.ExitStack() as stack:
        if mode == "poll":
            stack.enter_context(Poll(on_scan, POLL_SECONDS))
        else:
            try:
                stack.enter_context(Watch(directory, on_event, events=events, on_scan=on_scan))
            except (OSError, RecursionError) as error:
                # The kernel's limits, or strangers who make folders without end.
                log.error(
                    "no file events for %s (%s): it is looked at every %s s instead; raise "
                    "fs.inotify.max_user_instances and max_user_watches",
                    directory,
                    error,
                    FALLBACK_SECONDS,
                )
                stack.enter_context(Poll(on_scan, FALLBACK_SECONDS))
        yield


def arrived_at(event: FileSystemEvent) -> Path:
    """The path a file came to: where it was moved, or where it was created or written."""
    return Path(os.fsdecode(event.dest_path or event.src_path))


_OVERFLOW_LOG = logging.getLogger("watchdog.observers.inotify_c")


class _OverflowHandler(logging.Handler):
    # watchdog has no other sign that the kernel dropped events.
    def __init__(self, on_overflow: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_overflow = on_overflow

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._on_overflow()

"""Intake: dropped files become tickets, or are refused with the reason.

Every genzod and genzo-httpd runs an intake thread; the one that holds locks/intake.lock works.
It needs no GPU. `spool.patience` says when a file is whole, `spool.taking` what becomes of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import Timeout
from watchdog.events import FileMovedEvent, FileSystemEvent

from spool import acceptance, drops
from spool.batches import Ready, batches
from spool.catalogue import Catalogue
from spool.layout import Spool
from spool.locks import lock
from spool.patience import Patience
from spool.presence import Presence, SpoolGone, restore
from spool.problems import Problem
from spool.room import NoRoom, require_room
from spool.settings import Settings
from spool.taking import Taker
from spool.watch import arrived_at, watching

log = logging.getLogger(__name__)

SCAN_SECONDS = 20.0
_LOOK_SECONDS = 0.25
_TAKE_OVER_SECONDS = 5.0


class Intake(threading.Thread):
    """Takes jobs from the drop box until `stop()`.

    `catalogue` is asked for the models at each batch. A crash at any line loses no file and
    accepts none twice (see `spool.acceptance`). A spool that goes away is waited for.
    """

    def __init__(
        self,
        spool: Spool,
        catalogue: Callable[[], Catalogue],
        settings: Settings | None = None,
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._spool = spool
        self._settings = settings or Settings()
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._guard = threading.Lock()
        self._arrived: dict[Path, bool] = {}
        self._patience = Patience(spool)
        self._taker = Taker(spool, catalogue, self._patience)
        self._presence: Presence | None = None
        self._scan_due = 0.0
        self._said: dict[str, str] = {}

    def stop(self) -> None:
        """End the thread soon; the batch it is at is finished first."""
        self._ended.set()
        self._wake.set()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                with lock(self._spool, "intake").acquire(timeout=0):
                    self._serve()
            except Timeout:
                pass
            except (OSError, SpoolGone) as error:
                self._say("wait", f"intake waits: {error}")
            except Exception:
                log.exception("intake failed and begins anew in %s s", _TAKE_OVER_SECONDS)
            self._ended.wait(_TAKE_OVER_SECONDS)

    def _serve(self) -> None:
        self._presence = None
        Presence(self._spool).check()
        self._restore()
        drops.restore_set_aside(self._spool)
        self._scan_due = 0.0
        watch = watching(
            self._settings.watch, self._spool.incoming, self._note, on_scan=self._rescan
        )
        with watch:
            while not self._ended.is_set():
                self._round()
                self._wake.wait(_LOOK_SECONDS if self._patience.waiting else SCAN_SECONDS)
                self._wake.clear()

    def _note(self, event: FileSystemEvent) -> None:
        path = arrived_at(event)
        if event.is_directory:
            self._rescan()
        elif drops.may_be_job(path.relative_to(self._spool.incoming)):
            # Without a destination the file went out of the drop box, and may come anew.
            whole = isinstance(event, FileMovedEvent) and bool(event.dest_path)
            self._look_again(path, whole=whole)

    def _look_again(self, path: Path, *, whole: bool = False) -> None:
        with self._guard:
            self._arrived[path] = whole or self._arrived.get(path, False)
        self._wake.set()

    def _rescan(self) -> None:
        self._scan_due = 0.0
        self._wake.set()

    def _round(self) -> None:
        with self._guard:
            arrived, self._arrived = self._arrived, {}
        now = time.monotonic()
        if now >= self._scan_due:
            self._scan_due = now + SCAN_SECONDS
            arrived = self._scan() | arrived
        if not self._has_room():
            return
        waiting = (path for path in self._patience.waiting if path not in arrived)
        ready = list(self._ready([*arrived, *waiting], arrived))
        for batch in batches(self._spool, ready):
            if self._ended.is_set():
                return
            for path in self._taker.take(batch):
                self._look_again(path)

    def _scan(self) -> dict[Path, bool]:
        """Everything in incoming/; before that, what keeps the spool in shape."""
        if self._presence is None:
            self._presence = Presence(self._spool, self._spool.incoming)
        self._presence.check()
        self._restore()
        for job_id in acceptance.recover_admissions(self._spool):
            log.info("%s: accepted, completed after a crash or an error", job_id)
        unsearched: dict[Path, Problem] = {}
        found = list(drops.walk(self._spool.incoming, unsearched))
        self._patience.prune(found)
        self._taker.prune([*found, *unsearched])
        for folder, problem in unsearched.items():
            with self._taker.apart(folder):
                raise problem
        self._say("wait", "")
        return dict.fromkeys(found, False)

    def _restore(self) -> None:
        if self._say("restored", "; ".join(restore(self._spool))):
            self._patience.reconsider()

    def _ready(self, paths: list[Path], arrived: dict[Path, bool]) -> Iterator[Ready]:
        for path in paths:
            if self._ended.is_set():
                return
            with self._taker.apart(path):
                signature = self._patience.ready(path, whole=arrived.get(path, False))
                if signature is not None:
                    yield path, signature

    def _has_room(self) -> bool:
        try:
            require_room(self._spool, self._settings.disk)
        except NoRoom as problem:
            self._say("room", f"nothing is taken in: {problem}")
            return False
        self._say("room", "")
        return True

    def _say(self, topic: str, sentence: str) -> bool:
        """Log what is wrong about `topic` when it changes, and nothing while it stays; which."""
        if self._said.get(topic, "") == sentence:
            return False
        self._said[topic] = sentence
        if sentence:
            log.error("%s", sentence)
        elif topic == "room":
            log.info("there is room again: jobs are taken in")
        return True

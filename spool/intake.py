"""Intake: dropped files become tickets, or are refused with the reason.

Every genzod and genzo-httpd runs an intake thread; the one that holds locks/intake.lock works.
It needs no GPU. A file that arrived by rename is whole and is taken at once. Any other is taken
when it is one whole JSON object and has been still for STILL_SECONDS, since `cp -p` and
`rsync --inplace` write first and set mode and mtime last. What is not whole after
REFUSE_SECONDS of stillness is refused.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout
from watchdog.events import FileMovedEvent, FileSystemEvent

from spool import acceptance, drops, rejections
from spool.acceptance import Sender, key_of
from spool.catalogue import Catalogue
from spool.drops import Drop, Signature
from spool.jobs import parse_request
from spool.layout import Spool
from spool.locks import lock
from spool.problems import Problem
from spool.strict_json import is_whole, parse
from spool.watch import Watch, arrived_at

log = logging.getLogger(__name__)

STILL_SECONDS = 2.0
REFUSE_SECONDS = 60.0
SCAN_SECONDS = 20.0
_LOOK_SECONDS = 0.25
_TAKE_OVER_SECONDS = 5.0


@dataclass(slots=True)
class _Waiting:
    """A file that may still be being written; `since` is when it last changed (monotonic)."""

    signature: Signature
    since: float
    looked: bool = False


class Intake(threading.Thread):
    """Takes jobs from the drop box until `stop()`.

    `catalogue` is asked for the models at each job. A crash at any line loses no file and accepts
    none twice (see `spool.acceptance`).
    """

    def __init__(
        self,
        spool: Spool,
        catalogue: Callable[[], Catalogue],
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._spool = spool
        self._catalogue = catalogue
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._guard = threading.Lock()
        self._arrived: dict[Path, bool] = {}
        self._waiting: dict[Path, _Waiting] = {}
        self._staying: dict[Path, Signature] = {}
        self._scan_due = 0.0

    def stop(self) -> None:
        """End the thread soon; a file it is at is finished first."""
        self._ended.set()
        self._wake.set()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                with lock(self._spool, "intake").acquire(timeout=0):
                    self._serve()
            except Timeout:
                self._ended.wait(_TAKE_OVER_SECONDS)
            except Exception:
                log.exception("intake failed and begins anew in %s s", _TAKE_OVER_SECONDS)
                self._ended.wait(_TAKE_OVER_SECONDS)

    def _serve(self) -> None:
        drops.restore_set_aside(self._spool)
        self._scan_due = 0.0
        with contextlib.ExitStack() as stack:
            watch = Watch(self._spool.incoming, self._note, on_overflow=self._rescan)
            try:
                stack.enter_context(watch)
            except (OSError, RecursionError) as error:
                # Strangers may make folders without end; the scan takes what they drop even so.
                log.error(
                    "incoming/ is not watched but scanned every %s s: %s", SCAN_SECONDS, error
                )
            while not self._ended.is_set():
                self._round()
                self._wake.wait(_LOOK_SECONDS if self._waiting else SCAN_SECONDS)
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
            for job_id in acceptance.recover_admissions(self._spool):
                log.info("%s: accepted, completed after a crash or an error", job_id)
            arrived = dict.fromkeys(drops.walk(self._spool.incoming), False) | arrived
        for path in [*arrived, *(path for path in self._waiting if path not in arrived)]:
            if self._ended.is_set():
                return
            try:
                self._look_at(path, whole=arrived.get(path, False))
            except Exception as error:
                self._waiting.pop(path, None)
                if isinstance(error, FileNotFoundError) and self._is_gone(path):
                    continue
                # One file must not stop the others; the next scan looks at it again.
                log.exception("%s is left for the next scan", rejections.printable(str(path)))

    def _is_gone(self, path: Path) -> bool:
        try:
            drops.look(self._spool, path)
        except FileNotFoundError:
            return True
        return False

    def _look_at(self, path: Path, *, whole: bool) -> None:
        """Take the file if it is whole, refuse it if it never will be, or let it wait."""
        signature = drops.look(self._spool, path)
        if self._staying.get(path) == signature:
            return
        if not whole:
            waited = self._stillness(path, signature)
            if waited < STILL_SECONDS:
                return
            if waited < REFUSE_SECONDS and not self._seems_finished(path):
                return
        self._waiting.pop(path, None)
        self._take(path, signature)

    def _stillness(self, path: Path, signature: Signature) -> float:
        """How long the file has not changed, in seconds."""
        now = time.monotonic()
        waiting = self._waiting.get(path)
        if waiting is None or waiting.signature != signature:
            self._waiting[path] = _Waiting(signature, now)
            return 0.0
        return now - waiting.since

    def _seems_finished(self, path: Path) -> bool:
        """Whether a still file is one whole object, or can never become one. Looks once."""
        waiting = self._waiting[path]
        if waiting.looked:
            return False
        waiting.looked = True
        try:
            data = drops.read(self._spool, path).data
        except Problem:
            return True
        except PermissionError:
            return False
        start = data.lstrip()[:1]
        return is_whole(data) or start not in {b"", b"{", b"/", b"\x00"}

    def _take(self, path: Path, signature: Signature) -> None:
        name = path.relative_to(self._spool.incoming)
        try:
            drop = self._read(path)
            if not acceptance.is_known(self._spool, drop.key):
                self._accept(drop)
        except Problem as problem:
            shown = rejections.printable(str(name))
            key = key_of("drop", shown, signature.size, signature.mtime_ns)
            self._refuse(path, signature, problem, key)
        else:
            signature = drop.signature
        self._discard(path, signature)

    def _read(self, path: Path) -> Drop:
        if not drops.is_utf8(path.relative_to(self._spool.incoming)):
            raise Problem("Bad file name", "the file's name is not valid UTF-8; rename it")
        try:
            return drops.read(self._spool, path)
        except PermissionError:
            raise Problem(
                "Not readable",
                "the daemon may not read the file; make it readable for the group (chmod g+r)",
                status=403,
            ) from None

    def _accept(self, drop: Drop) -> None:
        try:
            request = parse_request(parse(drop.data))
            wish = Path(drop.name).stem
            sender = Sender("drop", drop.owner_uid, drop.name, drop.key, wish)
            ticket = acceptance.draw_ticket(self._spool, request, self._catalogue(), sender)
        except Problem as problem:
            self._refuse(drop.path, drop.signature, problem, drop.key)
            return
        if acceptance.admit_keyed(self._spool, ticket):
            shown = rejections.printable(drop.name)
            log.info("%s: accepted from incoming/%s", ticket.job_id, shown)

    def _refuse(self, path: Path, signature: Signature, problem: Problem, key: str) -> None:
        if acceptance.is_known(self._spool, key):
            return
        target = rejections.refuse(self._spool, path, signature, problem, key)
        acceptance.remember_rejection(self._spool, key, problem)
        shown = (rejections.printable(text) for text in (str(target), problem.detail))
        log.warning("%s: refused: %s", *shown)

    def _discard(self, path: Path, signature: Signature) -> None:
        try:
            if not drops.discard(self._spool, path, signature):
                self._look_again(path)
            self._staying.pop(path, None)
        except PermissionError:
            self._staying[path] = drops.look(self._spool, path)
            log.warning(
                "%s stays: its folder is not ours to change; it was dealt with and will not be "
                "looked at again until it changes",
                rejections.printable(str(path)),
            )

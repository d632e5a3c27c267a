"""When is a dropped file whole? What came by rename, at once; any other after it has been still.

`cp -p` and `rsync --inplace` write first and set mode and mtime last, scp and sftp write under
the final name, and a writer may pause. So a file is taken when it is one whole JSON object (a
strict prefix of one never is) and has not changed for STILL_SECONDS. What is not whole after
REFUSE_SECONDS of stillness never will be. An order is its name alone, and whole when it is still.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spool import drops
from spool.drops import Signature
from spool.layout import Spool
from spool.orders import Order
from spool.problems import Problem
from spool.strict_json import is_whole

STILL_SECONDS = 2.0
REFUSE_SECONDS = 60.0


@dataclass(slots=True)
class _Waiting:
    """A file that may still be being written; `since` is when it last changed (monotonic)."""

    signature: Signature
    since: float
    unfinished: bool = False


class Patience:
    """Which of the files that were seen are ready, which wait, and which are not ours to remove."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: dict[Path, _Waiting] = {}
        self._staying: dict[Path, Signature] = {}

    @property
    def waiting(self) -> list[Path]:
        """The files to be looked at again soon."""
        return list(self._waiting)

    def ready(self, path: Path, *, whole: bool) -> Signature | None:
        """The signature of the file at `path` if it is to be taken, refused or obeyed now.

        `whole` says that it came by rename. Raises OSError, FileNotFoundError if it is gone.
        """
        signature = drops.look(self._spool, path)
        if self._staying.get(path) == signature:
            return None
        if not whole:
            still_seconds = self._stillness(path, signature)
            if still_seconds < STILL_SECONDS:
                return None
            if still_seconds < REFUSE_SECONDS and not self._seems_finished(path):
                return None
        return signature

    def forget(self, path: Path) -> None:
        """The file was dealt with, or is gone."""
        self._waiting.pop(path, None)
        self._staying.pop(path, None)

    def leave(self, path: Path) -> None:
        """The file was dealt with but cannot be removed: ignore it until it changes."""
        self._waiting.pop(path, None)
        self._staying[path] = drops.look(self._spool, path)

    def reconsider(self) -> None:
        """The drop box was given back to us: what could not be removed may be now."""
        self._staying.clear()

    def prune(self, present: Iterable[Path]) -> None:
        """Forget what is no longer among the files `present`."""
        there = frozenset(present)
        self._waiting = {path: it for path, it in self._waiting.items() if path in there}
        self._staying = {path: it for path, it in self._staying.items() if path in there}

    def _stillness(self, path: Path, signature: Signature) -> float:
        """How long the file has not changed, in seconds."""
        now = time.monotonic()
        waiting = self._waiting.get(path)
        if waiting is None or waiting.signature != signature:
            self._waiting[path] = _Waiting(signature, now)
            return 0.0
        return now - waiting.since

    def _seems_finished(self, path: Path) -> bool:
        """Whether a still file is an order, one whole object, or can never become one.

        One that is not finished is not read again until it changes.
        """
        waiting = self._waiting[path]
        if waiting.unfinished:
            return False
        waiting.unfinished = not self._is_finished(path)
        return not waiting.unfinished

    def _is_finished(self, path: Path) -> bool:
        if Order.parse(self._spool, path) is not None:
            return True
        try:
            data = drops.read(self._spool, path).data
        except Problem:
            return True
        except PermissionError:
            return False
        start = data.lstrip()[:1]
        return is_whole(data) or start not in {b"", b"{", b"/", b"\x00"}

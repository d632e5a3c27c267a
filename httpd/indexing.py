"""Keeps the index in line with the gallery: a thread that looks at every folder, and quick looks.

A folder's time changes when a picture comes or goes, by whatever hand. The thread compares all
folders with the index every few seconds and reads those that differ, the newest first; before a
page is answered the newest folders, those of which news has come, and those that the page shows
are compared too. So a page shows nothing that is gone, and lacks nothing that is new.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable
from itertools import groupby, islice
from pathlib import Path

from httpd import entries
from httpd.index import Index, IndexKeeper
from httpd.keys import Key, folder_of, key_of, name_of, shard_of
from httpd.shelves import folder_in, hours, is_settled, keys_on, mtime_of
from httpd.sources import source_of
from spool.gallery import PictureName
from spool.layout import Spool
from spool.room import NoRoom, require_room
from spool.settings import DiskSettings

log = logging.getLogger(__name__)

SURVEY_SECONDS = 5.0
"""How long a change by hand in an old folder may stay unnoticed where no page shows it."""
_NEWEST = 24
"""So many of the newest folders are looked at for every page."""
_AT_ONCE = 400
"""Pictures in one transaction: others wait for it, and FTS5 writes a segment for each."""
_PAUSE = 0.3
"""Of the time that a transaction took: the thread yields to those who ask for pages."""
_BREATH_SECONDS = 0.5
"""Between two looks at everything, however often the index should fail."""
_UNSETTLED = 0
"""Put down as the time of a folder that may change again without changing its time."""

INDEX_ERRORS = (sqlite3.Error, ValueError, KeyError, TypeError)
"""What a damaged file raises, from SQLite or where its content is read."""


class Indexer(threading.Thread):
    """Fills the index and keeps it filled, until `stop()`."""

    def __init__(self, spool: Spool, keeper: IndexKeeper, floor: DiskSettings) -> None:
        super().__init__(name="gallery index", daemon=True)
        self._spool = spool
        self._keeper = keeper
        self._floor = floor
        self._noted: set[int] = set()
        self._records_read: dict[int, int] = {}
        self._news = threading.Event()
        self._is_stopping = threading.Event()
        self._has_room = True
        self.settled = threading.Event()
        """Set once the first look at everything is over, whatever came of it."""

    def note(self, names: Iterable[PictureName]) -> None:
        """These pictures came, or went: `catch_up` looks at their hours. Costs nothing."""
        self._noted.update(key_of(name).shard for name in names)

    def wake(self) -> None:
        """Look at everything soon."""
        self._news.set()

    def stop(self, timeout_seconds: float) -> None:
        self._is_stopping.set()
        self._news.set()
        if self.is_alive():
            self.join(timeout_seconds)

    def run(self) -> None:
        while not self._is_stopping.is_set():
            began = time.monotonic()
            self._news.clear()
            self._look()
            self.settled.set()
            took = time.monotonic() - began
            self._is_stopping.wait(_BREATH_SECONDS)
            self._news.wait(max(SURVEY_SECONDS, 20 * took))

    def catch_up(self, index: Index) -> set[int]:
        """Bring the hours in line that probably changed; those that were looked at."""
        newest = dict(islice(hours(self._spool), _NEWEST))
        since = min(newest) if len(newest) == _NEWEST else 0
        with index.reading() as connection:
            known = entries.shards_since(connection, since)
        looked_at = set(newest) | set(known) | self._take_noted()
        for shard in looked_at:
            folder = newest.get(shard) or folder_in(self._spool, shard)
            if mtime_of(folder) != known.get(shard):
                refresh(index, self._spool, shard, folder)
        return looked_at

    def check(self, index: Index, shards: Iterable[int]) -> bool:
        """Bring these hours in line; whether anything had changed."""
        with index.reading() as connection:
            known = {shard: entries.mtime_known(connection, shard) for shard in shards}
        changed = False
        for shard, mtime_ns in known.items():
            folder = folder_in(self._spool, shard)
            if mtime_of(folder) != mtime_ns:
                changed |= refresh(index, self._spool, shard, folder)
        return changed

    def _look(self) -> None:
        """Compare everything, and bring in line what differs."""
        index = self._keeper.open()
        if index is None:
            return
        try:
            if self._survey(index):
                index.is_complete = True
        except INDEX_ERRORS as error:
            self._keeper.failed(index, error)
        except NoRoom as problem:
            if self._has_room:
                log.warning("the index of the gallery does not grow: %s", problem)
            self._has_room = False
        except OSError as error:
            log.error("the gallery cannot be read: %s", error)
        if index.is_lost():
            self._news.set()

    def _survey(self, index: Index) -> bool:
        """Whether the index was brought in line with every folder."""
        if not self._spool.gallery.is_dir():
            return False  # not mounted, perhaps: no reason to forget everything
        with index.reading() as connection:
            known = entries.shards_since(connection, 0)
        differing = []
        for shard, folder in hours(self._spool):
            if mtime_of(folder) != known.pop(shard, None):
                differing.append(shard)
        for shard in [*differing, *known]:
            for noted in self._take_noted():
                refresh(index, self._spool, noted, folder_in(self._spool, noted))
            require_room(self._spool, self._floor)
            began = time.monotonic()
            refresh(index, self._spool, shard, folder_in(self._spool, shard))
            if self._is_stopping.wait(_PAUSE * (time.monotonic() - began)) or index.is_lost():
                return False
        self._has_room = True
        self._complete_jobs(index)
        return True

    def _complete_jobs(self, index: Index) -> None:
        """Take over the records that came behind their pictures, when jobs end or from a backup."""
        with index.reading() as connection:
            unfinished = entries.unfinished_jobs(connection)
        for shard, jobs in groupby(unfinished, key=lambda job: shard_of(job[0])):
            # A record that comes gives its folder another time.
            mtime_ns = mtime_of(self._spool.done / folder_of(shard))
            if mtime_ns is None or mtime_ns == self._records_read.get(shard):
                continue
            if is_settled(mtime_ns):
                self._records_read[shard] = mtime_ns
            for job in jobs:
                self._complete_job(index, job)

    def _complete_job(self, index: Index, job: entries.Job) -> None:
        source = source_of(self._spool, name_of(Key(job[0], job[1] << 12)))
        if source.is_final:
            with index.writing() as connection:
                entries.complete_job(connection, job, source)

    def _take_noted(self) -> set[int]:
        taken = set()
        while self._noted:
            taken.add(self._noted.pop())
        return taken


def refresh(index: Index, spool: Spool, shard: int, folder: Path) -> bool:
    """Bring the hour `shard` in line with its folder; whether it differed."""
    mtime_ns = mtime_of(folder)
    noted_ns = mtime_ns if mtime_ns is None or is_settled(mtime_ns) else _UNSETTLED
    present = keys_on(shard, folder)
    with index.writing() as connection:
        known = entries.keys_in(connection, shard)
        gone, new = known - present, sorted(present - known, reverse=True)
        if len(new) <= _AT_ONCE:
            entries.remove(connection, gone)
            _add(connection, spool, shard, new)
            if gone or new:
                entries.count_anew(connection, shard)
            entries.note_shard(connection, shard, noted_ns)
            return bool(gone or new)
    for start in range(0, len(new), _AT_ONCE):
        with index.writing() as connection:
            _add(connection, spool, shard, new[start : start + _AT_ONCE])
            entries.count_anew(connection, shard)
    refresh(index, spool, shard, folder)
    return True


def _add(connection: sqlite3.Connection, spool: Spool, shard: int, keys: list[Key]) -> None:
    known = entries.jobs_in(connection, shard)
    names = {entries.job_of(key): name_of(key) for key in keys}
    sources = {job: source_of(spool, name) for job, name in names.items() if job not in known}
    entries.add(connection, keys, sources)

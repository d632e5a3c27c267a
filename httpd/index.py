"""The index of the gallery: one SQLite file, a cache that may be deleted or damaged at any time.

    shards     every hour whose folder was read, and the time that the folder had then
    pictures   every picture, by its key; `model` is the number of its job's model
    jobs       what their pictures were made from
    tallies    how many pictures an hour holds, of each model and (model 0) of all
    terms      the terms of each job's prompt, by rank, for FTS5

It is never the truth: whatever it says is compared with the folders it was read from, and where
it cannot be used pages come from the folders alone. Journal WAL, so that pages are read while
hours are written; a power cut leaves it consistent.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spool import durable
from spool.layout import Spool

log = logging.getLogger(__name__)

_VERSION = 1
"""Stands in the file; one of another version is made anew."""
_BUSY_SECONDS = 5.0
_MAX_IDLE_READERS = 4
_CACHE_KIB = 2048
_TRANSIENT = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT}

_SCHEMA = f"""
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE shards (shard INTEGER PRIMARY KEY, mtime_ns INTEGER NOT NULL);
CREATE TABLE models (model INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE pictures (
    rank INTEGER, tail INTEGER, model INTEGER NOT NULL, PRIMARY KEY (rank, tail)
) WITHOUT ROWID;
CREATE INDEX pictures_by_model ON pictures (model, rank, tail);
CREATE TABLE jobs (
    rank INTEGER, bits INTEGER, model INTEGER NOT NULL, is_final INTEGER NOT NULL,
    source TEXT NOT NULL, PRIMARY KEY (rank, bits)
) WITHOUT ROWID;
CREATE INDEX unfinished_jobs ON jobs (rank, bits) WHERE NOT is_final;
CREATE TABLE tallies (
    shard INTEGER, model INTEGER, pictures INTEGER NOT NULL, PRIMARY KEY (shard, model)
) WITHOUT ROWID;
CREATE INDEX tallies_by_model ON tallies (model, shard, pictures);
CREATE VIRTUAL TABLE terms USING fts5(
    text, content='', detail='none', columnsize=0, tokenize='ascii'
);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class Index:
    """One file of the index, open. Safe among threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises sqlite3.Error and OSError."""
        self.path = path
        self.is_complete = False
        """Whether every folder has been compared with the index since it was opened."""
        self._writer = _connect(path)
        try:
            (version,) = self._writer.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._writer.executescript(_SCHEMA)
            elif version != _VERSION:
                raise sqlite3.DatabaseError(f"its version is {version}, ours is {_VERSION}")
            self._writer.execute("PRAGMA synchronous = NORMAL")
            self._identity = _identity(path)
        except BaseException:
            self._writer.close()
            raise
        self._write_lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._is_closed = False

    def is_lost(self) -> bool:
        """Whether the file was removed, or replaced by another."""
        try:
            return self._identity != _identity(self.path)
        except OSError:
            return True

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of one's own. Raises sqlite3.Error."""
        try:
            connection = self._readers.pop()
        except IndexError:
            # Not one that would make the file again where it is gone.
            connection = _connect(f"{self.path.as_uri()}?mode=rw")
            connection.execute("PRAGMA query_only = 1")
        try:
            # All that is read is of one state.
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.rollback()
            if self._is_closed or len(self._readers) >= _MAX_IDLE_READERS:
                connection.close()
            else:
                self._readers.append(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The one connection that writes, in a transaction. Raises sqlite3.Error."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.rollback()
                raise
            self._writer.commit()

    def close(self) -> None:
        self._is_closed = True
        with self._write_lock:
            self._writer.close()
        while self._readers:
            self._readers.pop().close()


class IndexKeeper:
    """Has an index at hand as long as one can be had, and makes another where it is lost.

    `open` belongs to the thread that fills it.
    """

    def __init__(self, spool: Spool, directory: Path | None) -> None:
        """The index lies in `directory`, else in the spool's cache/."""
        self._spool = spool
        self._within = directory is None
        self._directory = directory or spool.cache
        # A directory outside may serve several spools.
        mark = hashlib.sha256(os.fsencode(spool.root)).hexdigest()[:8]
        name = "gallery.sqlite" if directory is None else f"gallery-{mark}.sqlite"
        self.path = self._directory / name
        self._index: Index | None = None
        self.obstacle: str | None = None
        """Why there is no index and none can be made, once that was tried."""

    @property
    def index(self) -> Index | None:
        """The index, unless it has to be made first."""
        index = self._index
        return None if index is None or index.is_lost() else index

    def open(self) -> Index | None:
        """The index, made anew if it was lost; None with an `obstacle` where that cannot be."""
        index = self._index
        if index is not None and not index.is_lost():
            return index
        if index is not None:
            log.warning("%s was removed; it is made anew", self.path)
            self.discard(index)
        try:
            self._make_directory()
            self._index = self._opened()
        except (sqlite3.Error, OSError) as error:
            if self.obstacle is None:
                log.error("%s cannot be made: %s; there is no search", self.path, error)
            self.obstacle = f"{self.path} cannot be made: {error}"
            return None
        self.obstacle = None
        return self._index

    def failed(self, index: Index, error: Exception) -> None:
        """Take note of an error of `index`; a damaged one is removed."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _TRANSIENT:
            log.warning("%s: %s", index.path, error)
        elif code == sqlite3.SQLITE_FULL:
            log.error("%s cannot grow: the disk is full", index.path)
            index.is_complete = False
        elif index is self._index:
            log.error("%s is damaged (%s); it is made anew", index.path, error)
            self.discard(index)

    def discard(self, index: Index) -> None:
        """Remove the file of `index`; what is read at the moment is read to its end."""
        if index is self._index:
            self._index = None
            try:
                if not index.is_lost():
                    self._remove_files()
            except OSError as error:
                # Of another user, perhaps; pages come from the folders meanwhile.
                log.error("%s cannot be removed: %s", self.path, error)
            index.close()

    def close(self) -> None:
        index, self._index = self._index, None
        if index is not None:
            index.close()

    def _opened(self) -> Index:
        try:
            return Index(self.path)
        except sqlite3.DatabaseError as error:
            if error.__class__ is sqlite3.OperationalError:
                raise  # it cannot be opened, which says nothing of its content
            log.error("%s cannot be used (%s); it is made anew", self.path, error)
        self._remove_files()
        return Index(self.path)

    def _make_directory(self) -> None:
        within = self._spool.root if self._within else None
        durable.make_directory(self._directory, within=within, mode=0o700)
        if not self.path.exists():
            # What a removed file has left beside it would be read into the new one.
            self._remove_files()

    def _remove_files(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True
    )
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino

"""What is read from the index: the pictures of a page, and how many there are in all.

No question walks through the pictures that a page passes over. An offset is found by the
tallies of the hours, a cursor by its key, a search by FTS5, which yields jobs in their order
from any rank on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from httpd.entries import ALL_MODELS, job_of
from httpd.keys import FIRST_RANK, LAST_RANK, Key, first_rank, shard_of
from httpd.sources import Source
from httpd.terms import model_term

MAX_COUNTED = 2000
"""A search that finds more pictures than this does not say how many."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pictures are asked for: of ranks from `first` on and below `end`.

    They are of `model` and have all `terms`, unless those are None; no terms at all find nothing.
    """

    first: int = FIRST_RANK
    end: int = LAST_RANK
    model: str | None = None
    terms: tuple[str, ...] | None = None

    @property
    def needs_index(self) -> bool:
        """Whether names alone do not tell which pictures are asked for."""
        return self.model is not None or self.terms is not None


@dataclass(frozen=True, slots=True)
class Found:
    """One page: keys, the newest first, and how many pictures there are, None if it is not known.

    `sources` are those of the keys; None where the job is not finished, or not in the index.
    """

    keys: list[Key]
    sources: list[Source | None]
    total: int | None


def find(
    connection: sqlite3.Connection, wanted: Wanted, limit: int, offset: int, after: Key | None
) -> Found:
    """`limit` pictures behind the newest `offset`, or behind `after`; fewer only at the end."""
    model = _number_of(connection, wanted.model)
    if model is None or wanted.terms == ():
        return Found([], [], 0)
    below = min(Key(wanted.end, 0), after or Key(wanted.end, 0))
    if wanted.terms is None:
        keys = _listed(connection, wanted, model, below, (limit, offset))
        total: int | None = _count(connection, model, wanted.first, wanted.end)
    else:
        search = _Search(connection, wanted, model)
        keys = search.page(below, limit, offset)
        total = search.count()
    return Found(keys, [_source(connection, key) for key in keys], total)


def _number_of(connection: sqlite3.Connection, name: str | None) -> int | None:
    """The number of the model `name`; None if no picture is of it."""
    if name is None:
        return ALL_MODELS
    row = connection.execute("SELECT model FROM models WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def _source(connection: sqlite3.Connection, key: Key) -> Source | None:
    row = connection.execute(
        "SELECT source FROM jobs WHERE rank = ? AND bits = ? AND is_final", job_of(key)
    ).fetchone()
    return None if row is None else Source.decode(row[0])


def _listed(
    connection: sqlite3.Connection, wanted: Wanted, model: int, below: Key, window: tuple[int, int]
) -> list[Key]:
    limit, offset = window
    if offset and below == Key(wanted.end, 0):
        rank, offset = _seek(connection, model, wanted, offset)
        below = min(below, Key(rank, 0))
    of_model = "AND model = ?" if model else ""
    rows = connection.execute(
        f"SELECT rank, tail FROM pictures WHERE rank >= ? AND (rank, tail) < (?, ?) {of_model} "  # noqa: S608
        "ORDER BY rank DESC, tail DESC LIMIT ? OFFSET ?",
        (wanted.first, *below, *([model] if model else []), limit, offset),
    )
    return [Key(*row) for row in rows]


def _seek(
    connection: sqlite3.Connection, model: int, wanted: Wanted, offset: int
) -> tuple[int, int]:
    """A rank, and how many pictures below it to pass over, to be behind the newest `offset`."""
    last = shard_of(wanted.end)
    ahead = _count_rows(connection, model, max(wanted.first, first_rank(last)), wanted.end)
    if offset < ahead:
        return wanted.end, offset
    # The hour in which the picture lies, by halves: each sum is half as long as the one before.
    first, behind = _ends(connection)
    low, high = max(shard_of(wanted.first), first), min(last, behind)
    while high - low > 1:
        middle = (low + high) // 2
        pictures = _sum(connection, model, middle, high)
        if ahead + pictures > offset:
            low = middle
        else:
            ahead, high = ahead + pictures, middle
    return first_rank(high), offset - ahead


def _count(connection: sqlite3.Connection, model: int, first: int, end: int) -> int:
    """How many pictures there are of ranks from `first` on and below `end`."""
    whole_from, whole_to = shard_of(first - 1) + 1, shard_of(end)
    if whole_from >= whole_to:
        return _count_rows(connection, model, first, end)
    above = _count_rows(connection, model, first_rank(whole_to), end)
    below = _count_rows(connection, model, first, first_rank(whole_from))
    return above + _sum(connection, model, whole_from, whole_to) + below


def _sum(connection: sqlite3.Connection, model: int, first: int, end: int) -> int:
    """How many pictures the hours from `first` on and below `end` hold."""
    (pictures,) = connection.execute(
        "SELECT coalesce(sum(pictures), 0) FROM tallies "
        "WHERE model = ? AND shard >= ? AND shard < ?",
        (model, first, end),
    ).fetchone()
    return int(pictures)


def _ends(connection: sqlite3.Connection) -> tuple[int, int]:
    """The first hour that has pictures and the one behind the last."""
    (first,) = connection.execute("SELECT min(shard) FROM tallies").fetchone()
    (last,) = connection.execute("SELECT max(shard) FROM tallies").fetchone()
    return (0, 0) if first is None else (int(first), int(last) + 1)


def _count_rows(connection: sqlite3.Connection, model: int, first: int, end: int) -> int:
    of_model = "AND model = ?" if model else ""
    (count,) = connection.execute(
        f"SELECT count(*) FROM pictures WHERE rank >= ? AND rank < ? {of_model}",  # noqa: S608
        (first, end, *([model] if model else [])),
    ).fetchone()
    return int(count)


class _Search:
    """A search for terms, among the pictures of one model or (0) of all."""

    def __init__(self, connection: sqlite3.Connection, wanted: Wanted, model: int) -> None:
        self._connection = connection
        self._wanted = wanted
        self._model = model
        terms = [*(wanted.terms or ()), *([model_term(model)] if model else [])]
        self._match = " ".join(f'"{term}"' for term in terms)

    def page(self, below: Key, limit: int, offset: int) -> list[Key]:
        """`limit` pictures below the key `below`, behind the first `offset` of them."""
        found: list[Key] = []
        for rank, pictures in self._jobs(below.rank):
            if offset >= pictures and rank < below.rank:
                offset -= pictures
                continue
            held = [key for key in self._keys_of(rank) if key < below]
            found += held[offset:]
            offset = max(0, offset - len(held))
            if len(found) >= limit:
                break
        return found[:limit]

    def count(self) -> int | None:
        """How many pictures there are; None if there are more than MAX_COUNTED."""
        total = 0
        for rank, pictures in self._jobs(self._wanted.end):
            total += pictures if rank < self._wanted.end else 0
            if total > MAX_COUNTED:
                return None
        return total

    def _jobs(self, last: int) -> Iterator[tuple[int, int]]:
        """Ranks, up to `last`, of jobs with all terms, the newest first; and their pictures."""
        return self._connection.execute(
            f"SELECT rowid, (SELECT count(*) FROM pictures WHERE {self._of_rank('terms.rowid')}) "  # noqa: S608
            "FROM terms WHERE terms MATCH ? AND rowid >= ? AND rowid <= ? ORDER BY rowid DESC",
            (self._match, self._wanted.first, last),
        )

    def _keys_of(self, rank: int) -> list[Key]:
        rows = self._connection.execute(
            f"SELECT rank, tail FROM pictures WHERE {self._of_rank('?')} ORDER BY tail DESC",  # noqa: S608
            (rank,),
        )
        return [Key(*row) for row in rows]

    def _of_rank(self, rank: str) -> str:
        # The number of a model is ours; whatever a user wrote is bound, never part of the text.
        return f"rank = {rank}" + (f" AND model = {self._model:d}" if self._model else "")

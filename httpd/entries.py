"""What is written into the index: the pictures of one hour, and what is known of their jobs.

Each function works in its caller's transaction. FTS5 keeps no text: to take a job's terms out it
must be told them again, so they are made anew from the same source.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping

from httpd.keys import Key, first_rank, shard_of
from httpd.sources import Source
from httpd.terms import model_term, terms_of

ALL_MODELS = 0
"""In the tallies; the numbers of models begin at 1."""

Job = tuple[int, int]
"""A job in the index: the rank and the `job_bits` of its pictures' keys."""


def job_of(key: Key) -> Job:
    return key.rank, key.job_bits


def keys_in(connection: sqlite3.Connection, shard: int) -> set[Key]:
    """The pictures of an hour."""
    bounds = first_rank(shard), first_rank(shard + 1)
    rows = connection.execute(
        "SELECT rank, tail FROM pictures WHERE rank >= ? AND rank < ?", bounds
    )
    return {Key(rank, tail) for rank, tail in rows}


def jobs_in(connection: sqlite3.Connection, shard: int) -> set[Job]:
    """The jobs of an hour's pictures."""
    bounds = first_rank(shard), first_rank(shard + 1)
    return set(
        connection.execute("SELECT rank, bits FROM jobs WHERE rank >= ? AND rank < ?", bounds)
    )


def unfinished_jobs(connection: sqlite3.Connection) -> list[Job]:
    """The jobs whose record was not there yet, in their order."""
    rows = connection.execute("SELECT rank, bits FROM jobs WHERE NOT is_final ORDER BY rank, bits")
    return list(rows)


def shards_since(connection: sqlite3.Connection, shard: int) -> dict[int, int]:
    """The hours from `shard` on, and the times that their folders had when they were read."""
    rows = connection.execute("SELECT shard, mtime_ns FROM shards WHERE shard >= ?", (shard,))
    return dict(rows.fetchall())


def mtime_known(connection: sqlite3.Connection, shard: int) -> int | None:
    """The time that the folder of `shard` had when it was read; None if it never was."""
    row = connection.execute("SELECT mtime_ns FROM shards WHERE shard = ?", (shard,)).fetchone()
    return None if row is None else int(row[0])


def add(
    connection: sqlite3.Connection, keys: Collection[Key], sources: Mapping[Job, Source]
) -> None:
    """Add pictures; `sources` are those of the jobs that have no picture in the index yet."""
    models = {name: _model(connection, name) for name in {s.model for s in sources.values()}}
    # In ascending order, since FTS5 writes out what it has at every step back.
    for job in sorted(sources):
        _add_job(connection, job, sources[job], models[sources[job].model])
    connection.executemany(
        "INSERT OR IGNORE INTO pictures SELECT ?, ?, model FROM jobs WHERE rank = ? AND bits = ?",
        ((*key, *job_of(key)) for key in sorted(keys)),
    )


def remove(connection: sqlite3.Connection, keys: Iterable[Key]) -> None:
    """Remove pictures, and the jobs that have none left."""
    for key in keys:
        connection.execute("DELETE FROM pictures WHERE rank = ? AND tail = ?", key)
        bounds = key.job_bits << 12, (key.job_bits + 1) << 12
        rest = connection.execute(
            "SELECT 1 FROM pictures WHERE rank = ? AND tail >= ? AND tail < ?", (key.rank, *bounds)
        )
        if rest.fetchone() is None:
            _forget_terms(connection, key.rank)
            connection.execute("DELETE FROM jobs WHERE rank = ? AND bits = ?", job_of(key))
            _enter_terms(connection, key.rank)


def complete_job(connection: sqlite3.Connection, job: Job, source: Source) -> None:
    """Replace what is known of a job by its record."""
    model = _model(connection, source.model)
    _forget_terms(connection, job[0])
    connection.execute(
        "UPDATE jobs SET model = ?, is_final = ?, source = ? WHERE rank = ? AND bits = ?",
        (model, source.is_final, source.encode(), *job),
    )
    _enter_terms(connection, job[0])
    connection.execute(
        "UPDATE pictures SET model = ? WHERE rank = ? AND tail >= ? AND tail < ?",
        (model, job[0], job[1] << 12, (job[1] + 1) << 12),
    )
    count_anew(connection, shard_of(job[0]))


def count_anew(connection: sqlite3.Connection, shard: int) -> None:
    """Put down how many pictures of each model the hour `shard` holds."""
    bounds = first_rank(shard), first_rank(shard + 1)
    connection.execute("DELETE FROM tallies WHERE shard = ?", (shard,))
    connection.execute(
        "INSERT INTO tallies SELECT ?, model, count(*) FROM pictures "
        "WHERE rank >= ? AND rank < ? GROUP BY model",
        (shard, *bounds),
    )
    connection.execute(
        "INSERT INTO tallies SELECT shard, ?, sum(pictures) FROM tallies "
        "WHERE shard = ? GROUP BY shard",
        (ALL_MODELS, shard),
    )


def note_shard(connection: sqlite3.Connection, shard: int, mtime_ns: int | None) -> None:
    """Put down the time that the folder of `shard` had when it was read; None if it is gone."""
    if mtime_ns is None:
        connection.execute("DELETE FROM shards WHERE shard = ?", (shard,))
    else:
        connection.execute("INSERT OR REPLACE INTO shards VALUES (?, ?)", (shard, mtime_ns))


def _add_job(connection: sqlite3.Connection, job: Job, source: Source, model: int) -> None:
    row = (*job, model, source.is_final, source.encode())
    neighbour = connection.execute("SELECT 1 FROM jobs WHERE rank = ?", job[:1]).fetchone()
    if neighbour is not None:
        _forget_terms(connection, job[0])
    connection.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)", row)
    if neighbour is not None:
        _enter_terms(connection, job[0])
    else:
        text = _text(terms_of(source.prompt) | {model_term(model)})
        connection.execute("INSERT INTO terms (rowid, text) VALUES (?, ?)", (job[0], text))


def _enter_terms(connection: sqlite3.Connection, rank: int) -> None:
    text = _text_of_rank(connection, rank)
    if text:
        connection.execute("INSERT INTO terms (rowid, text) VALUES (?, ?)", (rank, text))


def _forget_terms(connection: sqlite3.Connection, rank: int) -> None:
    text = _text_of_rank(connection, rank)
    if text:
        connection.execute(
            "INSERT INTO terms (terms, rowid, text) VALUES ('delete', ?, ?)", (rank, text)
        )


def _text_of_rank(connection: sqlite3.Connection, rank: int) -> str:
    """All terms of the jobs of one rank: there are two once in 2^15 such at one millisecond."""
    terms: set[str] = set()
    for model, source in connection.execute(
        "SELECT model, source FROM jobs WHERE rank = ?", (rank,)
    ):
        terms |= terms_of(Source.decode(source).prompt) | {model_term(model)}
    return _text(terms)


def _text(terms: Iterable[str]) -> str:
    return " ".join(sorted(terms))


def _model(connection: sqlite3.Connection, name: str) -> int:
    """The number of the model `name`."""
    connection.execute("INSERT OR IGNORE INTO models (name) VALUES (?)", (name,))
    (model,) = connection.execute("SELECT model FROM models WHERE name = ?", (name,)).fetchone()
    return int(model)

"""What a storm did, and what it left: the ledger against itself, and against the disk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spool import records
from spool.layout import Spool
from spool.records import read_record
from spool.states import Status, job_ids_with_tickets
from tests.spool.invariants import faults
from tests.stress.clients import is_keyed
from tests.stress.ledger import Entry, Fact, Ledger


@dataclass(frozen=True)
class Result:
    """The figures of one storm; `lost`, `doubles`, `duplicates` and `faults` are sentences.

    `crashes` counts processes that ended by themselves, `kills` the others by role and phase.
    """

    jobs: int
    completed: int
    cancelled: int
    kills: Mapping[str, int]
    seconds: float
    restarted_runs: int
    put_back: int
    released: int
    crashes: int
    lost: tuple[str, ...]
    doubles: tuple[str, ...]
    duplicates: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubles or self.duplicates or self.faults or self.crashes)

    def __str__(self) -> str:
        rows = {
            "jobs finished": f"{self.jobs} in {self.seconds:.1f} s",
            "completed, cancelled": f"{self.completed}, {self.cancelled}",
            "kills": sum(self.kills.values()),
            **{f"  {where}": n for where, n in sorted(self.kills.items())},
            "runs begun again after a kill": self.restarted_runs,
            "runs put back": self.put_back,
            "releases from hold": self.released,
            "crashes": self.crashes,
            "lost": len(self.lost),
            "run twice at once": len(self.doubles),
            "results twice": len(self.duplicates),
            "other faults on the disk": len(self.faults),
        }
        table = [f"{name:32} {value}" for name, value in rows.items()]
        wrong = (*self.lost, *self.doubles, *self.duplicates, *self.faults)
        return "\n".join([*table, *wrong[:20]])


def judge(
    spool: Spool,
    ledger: Ledger,
    submitted: int,
    kills: Mapping[str, int],
    crashes: int,
    seconds: float,
) -> Result:
    """The result of a storm whose jobs 1 to `submitted` were sent, and whose processes are gone."""
    entries = list(ledger.read())
    numbers = _job_ids_by_number(spool)
    statuses = Counter(_status(spool, job_id) for job_id in records.newest_first(spool))
    facts = Counter(entry.fact for entry in entries)
    started = {entry.job_id for entry in entries if entry.fact is Fact.STARTED}
    return Result(
        jobs=statuses.total(),
        completed=statuses[Status.COMPLETED],
        cancelled=statuses[Status.CANCELLED],
        kills=kills,
        seconds=seconds,
        restarted_runs=facts[Fact.STARTED] - len(started) - facts[Fact.PUT_BACK],
        put_back=facts[Fact.PUT_BACK],
        released=facts[Fact.RELEASED],
        crashes=crashes,
        lost=tuple(_lost(spool, entries, numbers, submitted)),
        doubles=tuple(_doubles(entries)),
        duplicates=tuple(_duplicates(entries, numbers)),
        faults=tuple(faults(spool)),
    )


def _status(spool: Spool, job_id: str) -> Status:
    record = read_record(spool, job_id)
    assert record is not None
    return record.status


def _job_ids_by_number(spool: Spool) -> Mapping[int, list[str]]:
    numbers = defaultdict(list)
    for job_id in records.newest_first(spool):
        record = read_record(spool, job_id)
        assert record is not None
        numbers[record.seed].append(job_id)
    return numbers


def _lost(
    spool: Spool, entries: list[Entry], numbers: Mapping[int, list[str]], submitted: int
) -> Iterator[str]:
    admitted = {entry.job_id for entry in entries if entry.fact is Fact.ADMITTED}
    finished = {job_id for job_ids in numbers.values() for job_id in job_ids}
    yield from (f"{job_id} was admitted and has no record" for job_id in admitted - finished)
    for number in filter(is_keyed, range(1, submitted + 1)):
        if number not in numbers:
            yield f"job {number} was sent until it was known, and has no record"
    for job_id in job_ids_with_tickets(spool):
        yield f"{job_id} still has a ticket"


def _doubles(entries: list[Entry]) -> Iterator[str]:
    """Runs beside another, and runs of what had ended."""
    ended = set()
    for entry in entries:
        if entry.fact is Fact.OVERLAP:
            yield f"{entry.job_id} was run by {entry.pid} while {entry.detail} ran it"
        elif entry.fact is Fact.RECORDED:
            ended.add(entry.job_id)
        elif entry.fact is Fact.STARTED and entry.job_id in ended:
            yield f"{entry.job_id} was run by {entry.pid} after it had ended"


def _duplicates(entries: list[Entry], numbers: Mapping[int, list[str]]) -> Iterator[str]:
    results = Counter(
        (entry.fact, entry.job_id, entry.detail if entry.fact is Fact.PUBLISHED else "")
        for entry in entries
        if entry.fact in {Fact.PUBLISHED, Fact.RECORDED}
    )
    yield from (f"{' '.join(result)}: {n} times" for result, n in results.items() if n > 1)
    for entry in entries:
        if entry.fact is Fact.CLASH:
            yield f"{entry.job_id}: picture {entry.detail} was published by two runs at once"
    for number, job_ids in numbers.items():
        if len(job_ids) > 1:
            yield f"job {number} was sent once and became {', '.join(job_ids)}"

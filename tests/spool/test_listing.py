"""Pages of jobs, while jobs come and finish."""

from __future__ import annotations

import dataclasses
import re
import time
from collections import Counter

import pytest

from spool import records
from spool.claims import Slot
from spool.control import Verb, command
from spool.finishing import finish
from spool.layout import Spool
from spool.listing import BOOKMARK_PATTERN, MAX_RECORDS, Bookmark, list_jobs
from spool.outcomes import Outcome, record_of
from spool.records import Record, publish_record
from spool.states import Status, scan
from tests.spool.samples import claim_job, completed, draw, queue_job


def end(spool: Spool, status: Status = Status.COMPLETED) -> str:
    """A job that has a record and nothing else."""
    ticket = draw(spool)
    publish_record(spool, record_of(ticket, Outcome(status, 1, "0")))
    return ticket.job_id


def every_page(spool: Spool, limit: int, status: Status | None = None) -> list[str]:
    shown: list[str] = []
    mark: Bookmark | None = None
    while True:
        page = list_jobs(spool, limit, status, mark)
        shown += [job.job_id for job in page.jobs]
        if page.next is None:
            return shown
        mark = Bookmark.decode(page.next.encode())


@pytest.fixture
def jobs(spool: Spool) -> list[str]:
    """Jobs in every state; their ids in the order of the list."""
    slot = Slot.acquire(spool, "0", timeout_seconds=5)
    done = [end(spool, status) for status in 3 * [Status.COMPLETED, Status.FAILED]]
    running = claim_job(slot).job_id
    low = queue_job(spool, priority=10).job_id
    waiting = [queue_job(spool).job_id for _ in range(3)]
    held = queue_job(spool).job_id
    command(spool, Verb.HOLD, held)
    slot.release()
    return [running, *waiting, low, held, *reversed(done)]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 11, 12, 100])
def test_the_pages_together_are_the_whole_list(spool: Spool, jobs: list[str], limit: int) -> None:
    assert every_page(spool, limit) == jobs


def test_one_status_has_pages_too(spool: Spool, jobs: list[str]) -> None:
    assert every_page(spool, 2, Status.QUEUED) == jobs[1:5]
    assert every_page(spool, 2, Status.FAILED) == jobs[6::2]
    assert every_page(spool, 2, Status.PROCESSING) == jobs[:1]
    assert every_page(spool, 2, Status.CANCELLED) == []


def test_the_last_page_says_so(spool: Spool, jobs: list[str]) -> None:
    assert list_jobs(spool, len(jobs)).next is None
    assert list_jobs(spool, len(jobs) - 1).next is not None


def test_places_in_the_queue_are_those_of_the_whole_queue(spool: Spool, jobs: list[str]) -> None:
    page = list_jobs(spool, 3)
    assert page.next is not None
    rest = list_jobs(spool, 2, behind=page.next)
    assert [job.queue_position for job in page.jobs + rest.jobs] == [None, 1, 2, 3, 4]


def test_jobs_that_come_finish_and_start_meanwhile_are_shown_once(
    spool: Spool, jobs: list[str]
) -> None:
    slot = Slot.acquire(spool, "0", timeout_seconds=5)
    page = list_jobs(spool, 6)
    assert [job.job_id for job in page.jobs] == jobs[:6]
    time.sleep(0.005)  # instants are milliseconds
    for name in [*scan(slot.directory), *scan(spool.queued)[:2]]:
        claim = next((c for c in slot.orphans(starting=True) if c.name == name), slot.claim(name))
        assert claim is not None
        finish(claim, completed(claim.ticket))
    queue_job(spool, priority=99)
    end(spool)
    shown, mark = [job.job_id for job in page.jobs], page.next
    while mark is not None:
        page = list_jobs(spool, 2, behind=mark)
        shown += [job.job_id for job in page.jobs]
        mark = page.next
    counts = Counter(shown)
    assert all(counts[job_id] == 1 for job_id in jobs)
    slot.release()


def test_a_ticket_that_has_its_record_is_finished(spool: Spool) -> None:
    slot = Slot.acquire(spool, "0", timeout_seconds=5)
    claim = claim_job(slot)
    publish_record(spool, completed(claim.ticket))
    (job,) = list_jobs(spool, 10).jobs
    assert job.status is Status.COMPLETED
    slot.release()


@pytest.fixture
def many(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Thousands of records in one hour; the ids of those that are read, as they are."""
    record = completed(draw(spool))
    shard = spool.record(record.job_id).parent
    shard.mkdir(parents=True)
    for number in range(5 * MAX_RECORDS):
        job_id = f"{record.job_id[:11]}{number // 60000:02d}{number % 60000:05d}-aaaaaa"
        other = dataclasses.replace(record, job_id=job_id)
        (shard / f"{job_id}.json").write_bytes(other.encode())
    read: list[str] = []

    def counting(spool: Spool, job_id: str) -> Record | None:
        read.append(job_id)
        return records.read_record(spool, job_id)

    monkeypatch.setattr("spool.listing.read_record", counting)
    return read


def test_a_page_reads_its_own_records_and_one_more(spool: Spool, many: list[str]) -> None:
    page = list_jobs(spool, 50)
    assert page.next is not None
    assert len(page.jobs) == 50
    assert len(many) == 51
    behind = list_jobs(spool, 50, behind=page.next)
    assert behind.jobs[0].job_id == many[50]
    assert len(many) == 102


def test_a_search_for_a_rare_status_stops_and_goes_on_with_the_next_page(
    spool: Spool, many: list[str]
) -> None:
    page = list_jobs(spool, 50, Status.FAILED)
    assert page.jobs == ()
    assert page.next is not None
    assert len(many) == MAX_RECORDS + 1
    assert every_page(spool, 50, Status.FAILED) == []


@pytest.mark.parametrize(
    "word", ["", "x", "finished", "finished~../..~~", "queued~a/b~~", "lost~~~", "finished~é~~"]
)
def test_a_word_that_is_no_bookmark_does_not_match(word: str) -> None:
    assert re.fullmatch(BOOKMARK_PATTERN, word) is None


def test_a_bookmark_matches_its_pattern(spool: Spool, jobs: list[str]) -> None:
    mark: Bookmark | None = None
    for _ in jobs[1:]:
        mark = list_jobs(spool, 1, behind=mark).next
        assert mark is not None
        assert re.fullmatch(BOOKMARK_PATTERN, mark.encode())

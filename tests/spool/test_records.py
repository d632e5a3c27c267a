from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from spool import ids
from spool.layout import Spool
from spool.outcomes import Outcome, record_of
from spool.records import Record, publish_record, read_record
from spool.states import Status
from tests.spool.processes import in_children
from tests.spool.samples import completed, draw


def test_a_record_is_read_as_it_was_written(spool: Spool) -> None:
    record = dataclasses.replace(
        completed(draw(spool, count=2, prompt="赤い丸")),
        warnings=("constant picture",),
        render={"steps": 20, "dtype": "float16"},
        error={"detail": "x"},
    )
    assert Record.decode(record.encode()) == record


def test_a_record_tells_what_was_asked_and_what_was_rendered(spool: Spool) -> None:
    ticket = draw(spool, steps=3, drop_name="a/b.json")
    record = completed(ticket)
    assert record.request == {"prompt": "a red circle", "steps": 3}
    assert record.job is not None
    assert (record.job["steps"], record.job["width"]) == (3, 128)
    assert (record.seed, record.origin, record.drop_name) == (ticket.seed, "drop", "a/b.json")
    assert record.created_at == ids.created_at(ticket.job_id)


def test_a_job_that_was_never_resolved_has_a_record_too(spool: Spool) -> None:
    ticket = dataclasses.replace(draw(spool), job=None)
    record = record_of(ticket, Outcome(Status.FAILED, 1, error={"detail": "no model"}))
    assert record.job is None
    assert Record.decode(record.encode()) == record


def test_the_first_record_wins(spool: Spool) -> None:
    ticket = draw(spool)
    first = completed(ticket)
    second = record_of(ticket, Outcome(Status.CANCELLED, 1))
    assert publish_record(spool, first) == first
    assert publish_record(spool, second) == first
    assert read_record(spool, ticket.job_id) == first


def _publish(root: str, job: str, status: str) -> list[str]:
    spool = Spool.open(Path(root))
    record = dataclasses.replace(Record.decode(job.encode()), status=Status(status))
    return [publish_record(spool, record).status]


def test_of_processes_that_finish_a_job_at_once_all_agree_on_the_record(spool: Spool) -> None:
    job = completed(draw(spool)).encode().decode()
    statuses = ("completed", "failed", "cancelled", "completed")
    results = in_children(_publish, [(str(spool.root), job, status) for status in statuses])
    assert len({status for [status] in results}) == 1


def test_an_unfinished_job_has_no_record(spool: Spool) -> None:
    assert read_record(spool, draw(spool).job_id) is None


def test_a_record_carries_its_format(spool: Spool) -> None:
    record = completed(draw(spool))
    assert json.loads(record.encode())["format"] == 1
    with pytest.raises(ValueError, match="format"):
        Record.decode(record.encode().replace(b'"format": 1', b'"format": 2'))

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool import states
from spool.claims import Slot
from spool.layout import Spool
from spool.states import Status, TicketName, find, rank_of, scan
from tests.spool.samples import claim_job, hold_job, queue_job

JOB_ID = "20261123T121728417-7f3a9c"
LATER = "20261123T121728418-000000"


def test_a_ticket_is_named_by_rank_id_and_starts() -> None:
    name = TicketName(50, JOB_ID, 1)
    assert str(name) == f"50-{JOB_ID}.1.json"
    assert TicketName.parse(str(name)) == name


@given(st.integers(0, 99), st.integers(0, 9999))
def test_a_name_is_read_as_it_was_written(rank: int, starts: int) -> None:
    name = TicketName(rank, JOB_ID, starts)
    assert TicketName.parse(str(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "50-x.0.json",
        f"5-{JOB_ID}.0.json",
        f"050-{JOB_ID}.0.json",
        f"50-{JOB_ID}.json",
        f"50-{JOB_ID}.-1.json",
        f"50-{JOB_ID}.0.json\n",
        f".50-{JOB_ID}.0.json",
        f"50-{JOB_ID}.0.json~",
        f"50-{JOB_ID}.٠.json",
    ],
)
def test_other_files_are_no_tickets(name: str) -> None:
    assert TicketName.parse(name) is None


def test_names_order_as_the_queue_runs() -> None:
    names = [
        TicketName(rank_of(100), LATER, 0),
        TicketName(rank_of(50), JOB_ID, 1),
        TicketName(rank_of(50), LATER, 0),
        TicketName(rank_of(1), JOB_ID, 0),
    ]
    assert sorted(names) == names
    assert sorted(map(str, names)) == list(map(str, names))


def test_every_priority_has_a_rank_of_two_digits() -> None:
    ranks = [rank_of(priority) for priority in range(1, 101)]
    assert ranks == list(range(99, -1, -1))


def test_a_start_is_counted_in_the_name() -> None:
    assert str(TicketName(50, JOB_ID, 1).started()) == f"50-{JOB_ID}.2.json"


def test_a_scan_gives_the_tickets_in_order_and_nothing_else(spool: Spool) -> None:
    low, high = queue_job(spool, priority=1), queue_job(spool, priority=100)
    for other in ("README", f".50-{JOB_ID}.0.json"):
        (spool.queued / other).touch()
    assert scan(spool.queued) == [high.name, low.name]


def test_a_directory_that_is_none_holds_no_tickets(spool: Spool) -> None:
    (spool.active / "stray").touch()
    assert scan(spool.active / "stray") == []
    assert scan(spool.active / "gone") == []
    assert find(spool, JOB_ID) is None


def test_a_ticket_is_found_in_each_state(spool: Spool) -> None:
    slot = Slot.acquire(spool, "gpu0")
    processing = claim_job(slot)
    slot.release()
    queued, held = queue_job(spool), hold_job(spool)
    expected = {
        queued.job_id: (Status.QUEUED, spool.queued),
        processing.job_id: (Status.PROCESSING, spool.slot_of("gpu0")),
        held.job_id: (Status.HELD, spool.held),
    }
    for job_id, place in expected.items():
        found = find(spool, job_id)
        assert found is not None
        assert (found.status, found.directory) == place
        assert found.path.exists()
    assert states.job_ids_with_tickets(spool) == set(expected)
    assert find(spool, JOB_ID) is None


def test_a_ticket_that_a_power_cut_left_in_two_places_is_one_job(spool: Spool) -> None:
    ticket = queue_job(spool)
    spool.slot_of("gpu0").mkdir()
    (spool.slot_of("gpu0") / str(ticket.name)).write_bytes(ticket.encode())
    assert states.job_ids_with_tickets(spool) == {ticket.job_id}
    found = find(spool, ticket.job_id)
    assert found is not None
    assert found.path.exists()


def test_exactly_the_final_states_are_final() -> None:
    final = {status for status in Status if status.is_final}
    assert final == {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


def test_the_states_are_the_words_of_the_http_contract() -> None:
    words = "queued processing held completed failed cancelled"
    assert " ".join(itertools.chain(Status)) == words

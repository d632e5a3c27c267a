from __future__ import annotations

import json
import threading

import pytest

from spool import views
from spool.claims import MAX_STARTS, Slot
from spool.control import Verb, command
from spool.finishing import finish
from spool.layout import Spool
from spool.live import LiveWriter
from spool.outcomes import Outcome, record_of
from spool.recovery import recover
from spool.states import Status
from spool.views import JobView, job_view, position, unfinished_jobs
from tests.spool.samples import claim_job, completed, hold_job, queue_job


def _view(spool: Spool, job_id: str) -> JobView:
    view = job_view(spool, job_id)
    assert view is not None
    return view


def test_a_queued_job_shows_its_place(spool: Spool) -> None:
    first, second = queue_job(spool), queue_job(spool)
    urgent = queue_job(spool, priority=100)
    places = [position(spool, ticket.job_id) for ticket in (first, second, urgent)]
    assert places == [2, 3, 1]
    view = _view(spool, second.job_id)
    assert (view.status, view.queue_position) == (Status.QUEUED, 3)
    assert (view.step, view.total_steps, view.slot, view.images) == (0, None, None, ())
    assert view.request == {"prompt": "a red circle"}
    assert view.seed == second.seed
    assert view.job is not None
    assert view.job["width"] == 128


def test_a_job_that_is_not_queued_has_no_place(spool: Spool) -> None:
    assert position(spool, hold_job(spool).job_id) is None


def test_a_processing_job_shows_its_progress_and_slot(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0")).start()
    assert (_view(spool, claim.job_id).step, _view(spool, claim.job_id).total_steps) == (0, None)
    with LiveWriter(spool, claim.job_id, 1) as live:
        live.progress(5, 20)
    view = _view(spool, claim.job_id)
    assert (view.status, view.step, view.total_steps) == (Status.PROCESSING, 5, 20)
    assert (view.slot, view.starts, view.queue_position) == ("gpu0", 1, None)


def test_a_job_that_was_put_back_shows_no_old_progress(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0")).start()
    with LiveWriter(spool, claim.job_id, 1) as live:
        live.progress(5, 20)
    claim.put_back(0)
    view = _view(spool, claim.job_id)
    assert (view.status, view.step, view.total_steps) == (Status.QUEUED, 0, None)


def test_a_held_job_tells_why(spool: Spool) -> None:
    assert _view(spool, hold_job(spool).job_id).error is None
    slot = Slot.acquire(spool, "gpu0")
    claim = claim_job(slot)
    for _ in range(MAX_STARTS):
        claim = claim.start()
    recover(slot, starting=True)
    view = _view(spool, claim.job_id)
    assert view.status is Status.HELD
    assert view.error is not None
    assert view.error["title"] == "On hold"
    assert "died 2 times" in view.error["detail"]


def test_a_finished_job_shows_its_pictures_and_all_its_steps(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0"), count=2).start()
    with LiveWriter(spool, claim.job_id, 1) as live:
        live.progress(40, 40)
    record = finish(claim, completed(claim.ticket))
    view = _view(spool, claim.job_id)
    assert (view.status, view.step, view.total_steps) == (Status.COMPLETED, 40, 40)
    assert [image["filename"] for image in view.images] == [
        f"{claim.job_id}-0.png",
        f"{claim.job_id}-1.png",
    ]
    assert (view.finished_at, view.slot) == (record.finished_at, "gpu0")


def test_a_finished_job_shows_its_steps_when_its_progress_was_cleaned_away(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0")).start()
    outcome = Outcome(Status.COMPLETED, 1, render={"steps": 20})
    finish(claim, record_of(claim.ticket, outcome))
    spool.events(claim.job_id).unlink()
    view = _view(spool, claim.job_id)
    assert (view.step, view.total_steps) == (20, 20)


def test_a_failed_job_shows_its_error(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0"))
    error = {"title": "Out of memory", "detail": "no more"}
    finish(claim, record_of(claim.ticket, Outcome(Status.FAILED, 1, error=error)))
    assert _view(spool, claim.job_id).error == error


def test_a_record_goes_before_a_ticket_that_is_still_there(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0"))
    data = claim.path.read_bytes()
    finish(claim, completed(claim.ticket))
    claim.path.write_bytes(data)
    assert _view(spool, claim.job_id).status is Status.COMPLETED


@pytest.mark.parametrize(
    "job_id", ["", "x", "20261123T121728417-7f3a9c", "../../etc/passwd", "gallery", "a" * 5000]
)
def test_an_unknown_job_has_no_view(spool: Spool, job_id: str) -> None:
    assert job_view(spool, job_id) is None


def test_the_unfinished_jobs_come_running_waiting_and_held(spool: Spool) -> None:
    held = hold_job(spool)
    waiting = [queue_job(spool), queue_job(spool)]
    running = claim_job(Slot.acquire(spool, "gpu0"))
    command(spool, Verb.CANCEL, queue_job(spool).job_id)
    found = [(view.status, view.job_id, view.queue_position) for view in unfinished_jobs(spool)]
    assert found == [
        (Status.PROCESSING, running.job_id, None),
        (Status.QUEUED, waiting[0].job_id, 1),
        (Status.QUEUED, waiting[1].job_id, 2),
        (Status.HELD, held.job_id, None),
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"prompt": "x"}', b"\xff"])
def test_a_ticket_that_cannot_be_read_hides_no_other(spool: Spool, content: bytes) -> None:
    broken, good = hold_job(spool), hold_job(spool)
    (spool.held / str(broken.name)).write_bytes(content)
    assert [view.job_id for view in unfinished_jobs(spool)] == [good.job_id]
    assert job_view(spool, broken.job_id) is None


def test_a_view_is_json_with_the_names_of_the_http_contract(spool: Spool) -> None:
    body = json.loads(json.dumps(_view(spool, queue_job(spool).job_id).as_json()))
    assert body["status"] == "queued"
    assert {
        "job_id",
        "status",
        "step",
        "total_steps",
        "queue_position",
        "request",
        "seed",
        "images",
        "error",
        "created_at",
    } <= set(body)


def test_a_job_that_moves_is_always_found(spool: Spool) -> None:
    """From the queue to the record, while a reader looks without a pause."""
    slot = Slot.acquire(spool, "gpu0")
    tickets = [queue_job(spool) for _ in range(60)]
    ended = threading.Event()

    def work() -> None:
        for ticket in tickets:
            claim = slot.claim(ticket.name)
            assert claim is not None
            started = claim.start()
            finish(started, completed(ticket))
        ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    seen = set()
    order = [Status.QUEUED, Status.PROCESSING, Status.COMPLETED]
    for ticket in tickets:
        stages: list[Status] = []
        while not stages or stages[-1] is not Status.COMPLETED:
            stages.append(_view(spool, ticket.job_id).status)
        assert stages == sorted(stages, key=order.index)
        seen |= set(stages)
    worker.join()
    assert ended.is_set()
    assert Status.COMPLETED in seen


def test_the_queue_is_the_run_order(spool: Spool) -> None:
    tickets = [queue_job(spool, priority=priority) for priority in (50, 1, 100, 50)]
    expected = [tickets[2], tickets[0], tickets[3], tickets[1]]
    assert views.queue(spool) == [ticket.name for ticket in expected]

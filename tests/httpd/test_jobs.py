"""The state of jobs, their list, and cancelling them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from httpd.bodies import JobBody
from spool.records import read_record
from tests.httpd.conftest import Served
from tests.httpd.stand_in import StandIn
from tests.httpd.test_generate import refused

if TYPE_CHECKING:
    import httpx2


def test_a_job_shows_every_state_it_goes_through(served: Served, daemon: StandIn) -> None:
    job_id = served.submit("a red circle", seed=7)
    url = f"/api/jobs/{job_id}"
    waiting = served.client.get(url).json()
    assert (waiting["status"], waiting["queue_position"]) == ("queued", 1)
    assert waiting["request"] == {"prompt": "a red circle", "seed": 7}
    assert (waiting["job"]["steps"], waiting["job"]["sampler"]) == (20, "euler")
    run = daemon.begin(job_id)
    run.step(5)
    running = served.client.get(url).json()
    assert (running["status"], running["step"], running["total_steps"]) == ("processing", 5, 20)
    assert (running["queue_position"], running["slot"], running["starts"]) == (None, "0", 1)
    run.complete()
    done = served.client.get(url).json()
    assert (done["status"], done["sse_url"]) == ("completed", f"/api/sse/{job_id}")
    (image,) = done["images"]
    assert image["url"] == f"/api/images/{job_id}-0.png"
    assert image["thumbnail_url"] == f"/api/thumbs/{job_id}-0.png"
    assert image["seed"] == 7
    JobBody.model_validate(done, extra="forbid")


def test_a_failed_job_shows_its_problem(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    daemon.begin(job_id).fail("the model's folder is gone")
    job = served.client.get(f"/api/jobs/{job_id}").json()
    assert job["status"] == "failed"
    assert job["error"]["detail"] == "the model's folder is gone"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("job_id", ["gallery", "..", "20261123T121728417-7f3a9c", "x" * 5000])
def test_an_unknown_job_is_404(client: httpx2.Client, method: str, job_id: str) -> None:
    refused(client.request(method, f"/api/jobs/{job_id}"), 404)


def test_a_waiting_job_is_cancelled_at_once(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    response = served.client.delete(f"/api/jobs/{job_id}")
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert read_record(served.spool, job_id) is not None
    refused(served.client.delete(f"/api/jobs/{job_id}"), 409, job_id, "cancelled")


def test_a_running_job_is_asked_to_stop(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    response = served.client.delete(f"/api/jobs/{job_id}")
    assert (response.status_code, response.json()["status"]) == (202, "processing")
    assert served.spool.cancel_request(job_id).exists()
    run.stop()
    assert served.client.get(f"/api/jobs/{job_id}").json()["status"] == "cancelled"


def test_a_finished_job_cannot_be_cancelled(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    daemon.render(job_id)
    refused(served.client.delete(f"/api/jobs/{job_id}"), 409, "completed")


def test_the_list_has_unfinished_jobs_first_and_then_the_newest(
    served: Served, daemon: StandIn
) -> None:
    done = [served.submit() for _ in range(3)]
    for job_id in done:
        daemon.render(job_id)
    running, waiting = served.submit(), served.submit()
    daemon.begin(running)
    jobs = served.client.get("/api/jobs", params={"limit": 5}).json()["jobs"]
    assert [job["job_id"] for job in jobs] == [running, waiting, *reversed(done)]
    assert jobs[1]["queue_position"] == 1


def test_the_list_can_be_narrowed_to_one_status(served: Served, daemon: StandIn) -> None:
    failed, waiting = served.submit(), served.submit()
    daemon.begin(failed).fail("no")

    def listed(status: str) -> list[str]:
        jobs = served.client.get("/api/jobs", params={"status": status}).json()["jobs"]
        assert {job["status"] for job in jobs} <= {status}
        return [job["job_id"] for job in jobs]

    assert listed("queued") == [waiting]
    assert failed in listed("failed")
    assert listed("held") == []


def test_the_pages_of_the_list_are_linked_by_a_cursor(served: Served, daemon: StandIn) -> None:
    jobs = [served.submit() for _ in range(5)]
    shown: list[str] = []
    parameters = {"limit": "2", "status": "queued"}
    while True:
        page = served.client.get("/api/jobs", params=parameters).json()
        shown += [job["job_id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    assert shown == jobs


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=",
        "cursor=%00",
        "status=unheard_of",
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=",
        "limit=9e9",
    ],
)
def test_a_bad_parameter_is_named(client: httpx2.Client, query: str) -> None:
    refused(client.get(f"/api/jobs?{query}"), 422, query.partition("=")[0])

"""POST /api/generate: what is accepted, and how each fault is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from httpd import examples
from spool import records
from spool.catalogue import Catalogue
from spool.jobs import MAX_PROMPT_CHARS
from spool.layout import Spool
from spool.states import scan
from spool.strict_json import MAX_BYTES, parse
from tests.httpd.conftest import Served, start_server, stop_server
from tests.httpd.stand_in import LORA, StandIn, report
from tests.services import wait_for

if TYPE_CHECKING:
    import httpx2

BODIES = re.findall(
    r"```jsonc\n(.*?)```",
    (Path(__file__).parent / "api_guide_examples.ja.md").read_text(encoding="utf-8"),
    re.DOTALL,
)


def post(client: httpx2.Client, body: str | bytes, **headers: str) -> httpx2.Response:
    defaults = {"Content-Type": "application/json"}
    return client.post("/api/generate", content=body, headers={**defaults, **headers})


def refused(response: httpx2.Response, status: int, *words: str) -> dict[str, Any]:
    """The problem of a refused request, whose detail holds `words`."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert isinstance(problem["detail"], str)
    for word in words:
        assert word in problem["detail"]
    return problem


@pytest.mark.parametrize("body", BODIES)
def test_the_guides_examples_are_accepted_as_written(
    client: httpx2.Client, daemon: StandIn, body: str
) -> None:
    answer = post(client, body)
    assert answer.status_code == 202, answer.text
    job = client.get(answer.json()["status_url"]).json()
    assert job["request"] == parse(body.encode())


def test_the_specifications_examples_are_the_guides() -> None:
    assert list(examples.REQUESTS.values()) == [parse(body.encode()) for body in BODIES]


def test_an_accepted_job_is_told_where_to_look(client: httpx2.Client, daemon: StandIn) -> None:
    answer = post(client, '{"prompt": "a red circle"}')
    accepted = answer.json()
    job_id = accepted["job_id"]
    assert accepted == {
        "job_id": job_id,
        "status": "queued",
        "queue_position": 1,
        "eta_seconds": None,
        "status_url": f"/api/jobs/{job_id}",
        "sse_url": f"/api/sse/{job_id}",
    }
    assert answer.headers["location"] == accepted["status_url"]


def test_an_accepted_job_lies_in_the_queue(served: Served, daemon: StandIn) -> None:
    job_id = served.submit(priority=90)
    (name,) = scan(served.spool.queued)
    assert (name.job_id, name.rank) == (job_id, 10)


def test_a_null_seed_is_drawn_and_a_given_one_kept(client: httpx2.Client, daemon: StandIn) -> None:
    drawn = post(client, '{"prompt": "x", "seed": null}').json()
    given = post(client, '{"prompt": "x", "seed": 42}').json()
    assert client.get(drawn["status_url"]).json()["seed"] >= 0
    assert client.get(given["status_url"]).json()["seed"] == 42


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "application/jsonc"])
def test_json_and_json_with_comments_are_taken(
    client: httpx2.Client, daemon: StandIn, media_type: str
) -> None:
    body = '{"prompt": "x"} // a comment'
    assert post(client, body, **{"Content-Type": media_type}).status_code == 202


def test_a_missing_content_type_is_taken(client: httpx2.Client, daemon: StandIn) -> None:
    request = client.build_request("POST", "/api/generate", content=b'{"prompt": "x"}')
    request.headers.pop("content-type", None)
    assert client.send(request).status_code == 202


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_what_a_form_of_another_site_can_send_is_refused(
    client: httpx2.Client, media_type: str
) -> None:
    response = post(client, '{"prompt": "x"}', **{"Content-Type": media_type})
    refused(response, 415, media_type.partition(";")[0], "application/json")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"promt": "typo"}, "#/promt"),
        ({"width": "wide"}, "#/width"),
        ({"width": 100}, "#/width"),
        ({"width": True}, "#/width"),
        ({"height": 8192}, "#/height"),
        ({"steps": 0}, "#/steps"),
        ({"steps": 1.5}, "#/steps"),
        ({"seed": -1}, "#/seed"),
        ({"guidance_scale": 40}, "#/guidance_scale"),
        ({"sampler": "unheard_of"}, "#/sampler"),
        ({"model": "unheard of"}, "#/model"),
        ({"loras": [{"id": "unheard_of"}]}, "#/loras/0/id"),
        ({"loras": [{"id": LORA, "weight": 9}]}, "#/loras/0/weight"),
        ({"prompt": None}, "#/prompt"),
        ({"prompt": "x" * (MAX_PROMPT_CHARS + 1)}, "#/prompt"),
        ({"prompt": "x" * 1_000_000}, "#/prompt"),
    ],
)
def test_a_fault_names_its_field(
    client: httpx2.Client, fields: dict[str, Any], pointer: str
) -> None:
    body = json.dumps({"prompt": "x", **fields})
    problem = refused(post(client, body), 422, pointer.split("/")[1])
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert len(problem["detail"]) < 1000


def test_every_fault_is_named_at_once(client: httpx2.Client) -> None:
    problem = refused(post(client, '{"width": "a", "steps": "b"}'), 422)
    pointers = [error["pointer"] for error in problem["errors"]]
    assert sorted(pointers) == ["#/prompt", "#/steps", "#/width"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('{"prompt": "a", "prompt": "b"}', "'prompt' stands twice"),
        ('{"prompt": "x", "guidance_scale": NaN}', "NaN"),
        ('{"prompt": "x", "guidance_scale": 1e999}', "1e999"),
        ('{"prompt": "x"', "line 1, column"),
        ('{"prompt": "\\ud800"}', "surrogate"),
        ("", "empty"),
        ("[" * 5000, "nested"),
        (b"\xff\xfe{}", "byte-order mark"),
        (b'{"prompt": "\xff"}', "byte 12"),
    ],
)
def test_what_is_not_strict_json_is_refused(
    client: httpx2.Client, body: str | bytes, word: str
) -> None:
    refused(post(client, body), 400, word)


@pytest.mark.parametrize("body", ["[]", "null", '"a red circle"', "1"])
def test_what_is_no_object_is_refused(client: httpx2.Client, body: str) -> None:
    refused(post(client, body), 422, "one JSON object")


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 3 * MAX_BYTES])
def test_a_body_above_the_limit_is_refused(client: httpx2.Client, size: int) -> None:
    refused(post(client, b" " * size), 413, str(MAX_BYTES))


def test_a_chunked_body_above_the_limit_is_refused(client: httpx2.Client) -> None:
    response = client.post(
        "/api/generate",
        content=(b" " * 65536 for _ in range(40)),
        headers={"Content-Type": "application/json"},
    )
    refused(response, 413, str(MAX_BYTES))


def test_a_body_at_the_limit_is_read(client: httpx2.Client, daemon: StandIn) -> None:
    body = b'{"prompt": "x"}'
    assert post(client, body.ljust(MAX_BYTES)).status_code == 202


def test_the_same_idempotency_key_returns_the_same_job(
    served: Served, client: httpx2.Client, daemon: StandIn
) -> None:
    first = post(client, '{"prompt": "x"}', **{"Idempotency-Key": "once"})
    again = post(client, '{ "prompt" : "x" } // the same', **{"Idempotency-Key": "once"})
    assert again.status_code == 202
    assert again.json()["job_id"] == first.json()["job_id"]
    assert len(scan(served.spool.queued)) == 1
    other = post(client, '{"prompt": "y"}', **{"Idempotency-Key": "once"})
    refused(other, 422, first.json()["job_id"])
    refused(post(client, "{}", **{"Idempotency-Key": "x" * 300}), 422)
    refused(post(client, '{"prompt": "x"}', **{"Idempotency-Key": "x" * 300}), 400)


def test_without_any_model_known_a_job_is_accepted_unresolved(
    served: Served, daemon: StandIn
) -> None:
    reports = list(served.spool.slots.iterdir())
    aside = {path: path.read_bytes() for path in reports}
    for path in reports:
        path.unlink()
    try:
        assert Catalogue.read(served.spool).default is None
        job_id = served.submit(steps=3)
        assert served.client.get(f"/api/jobs/{job_id}").json()["job"] is None
    finally:
        for path, data in aside.items():
            path.write_bytes(data)


def test_a_dropped_job_is_taken_without_a_daemon(served: Served, daemon: StandIn) -> None:
    aside = served.spool.tmp / "job.json"
    aside.write_text('{"prompt": "dropped"}')
    aside.rename(served.spool.incoming / "job.json")
    wait_for(lambda: scan(served.spool.queued), seconds=5, what="the job to be taken")
    jobs = served.client.get("/api/jobs", params={"status": "queued"}).json()["jobs"]
    assert [job["request"]["prompt"] for job in jobs] == ["dropped"]


def test_a_job_survives_the_server(served: Served, daemon: StandIn) -> None:
    other = start_server(served.spool)
    try:
        job_id = other.submit()
    finally:
        assert stop_server(other) == 0
    daemon.render(job_id)
    record = records.read_record(served.spool, job_id)
    assert record is not None
    assert record.origin == "http"


def test_above_the_queue_limit_a_job_is_refused_for_now(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    report(spool)
    config = tmp_path / "genzo.toml"
    config.write_text("[http]\nqueue_limit = 2\n")
    server = start_server(spool, "--config", str(config))
    keyed = {"Idempotency-Key": "a"}
    first = post(server.client, '{"prompt": "x"}', **keyed)
    server.submit()
    full = post(server.client, '{"prompt": "x"}')
    refused(full, 429, "queue_limit")
    assert full.headers["retry-after"] == "30"
    again = post(server.client, '{"prompt": "x"}', **keyed)
    assert again.json()["job_id"] == first.json()["job_id"], "it was accepted before"
    server.client.delete(first.json()["status_url"])
    server.submit()
    assert stop_server(server) == 0

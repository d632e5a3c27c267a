"""The same key and request are the same job, whatever was killed when."""

from __future__ import annotations

import random
import signal
import threading
from pathlib import Path

import httpx2

from httpd.generate import _accept
from spool.jobs import JobRequest
from spool.layout import Spool
from spool.settings import Settings
from spool.states import scan
from spool.views import job_view
from tests.httpd.conftest import Served, start_server, stop_server
from tests.httpd.stand_in import StandIn, report
from tests.httpd.test_generate import post, refused
from tests.spool.crashes import killed_at_each_effect

ASKED = JobRequest(prompt="x")
KEY = "ab" + 62 * "0"


def accept(spool: Spool) -> str:
    return _accept(spool, ASKED, KEY, Settings(), None)


def test_killed_at_any_line_the_request_sent_again_is_one_job_that_can_be_asked_for(
    tmp_path: Path,
) -> None:
    spools = (Spool.create(tmp_path / f"{number}") for number in range(1000))
    kills = 0
    for spool in killed_at_each_effect(lambda: next(spools), accept):
        kills += 1
        job_id = accept(spool)
        assert accept(spool) == job_id
        assert [name.job_id for name in scan(spool.queued)] == [job_id]
        assert job_view(spool, job_id) is not None
    assert kills > 10


def test_servers_killed_among_requests_accept_each_key_once(tmp_path: Path) -> None:
    """The client hears nothing of those that were under way, and sends all of them again."""
    spool = Spool.create(tmp_path / "spool")
    report(spool)
    told: dict[str, set[str]] = {}
    moments = random.Random(7)

    def send_all(server: Served) -> None:
        with httpx2.Client(base_url=server.client.base_url) as client:
            for number in range(40):
                try:
                    response = post(client, '{"prompt": "x"}', **{"Idempotency-Key": str(number)})
                except httpx2.TransportError:
                    continue
                assert response.status_code == 202
                told.setdefault(str(number), set()).add(response.json()["job_id"])

    for _ in range(4):
        server = start_server(spool)
        senders = [threading.Thread(target=send_all, args=(server,)) for _ in range(3)]
        for sender in senders:
            sender.start()
        threading.Event().wait(moments.uniform(0.01, 0.2))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        for sender in senders:
            sender.join()
    server = start_server(spool)
    send_all(server)
    for (job_id,) in told.values():
        assert server.client.get(f"/api/jobs/{job_id}").status_code == 200
    assert stop_server(server) == 0
    assert len(told) == len(scan(spool.queued)) == 40
    assert list(spool.pending.iterdir()) == []


def test_a_key_whose_job_was_cleaned_away_is_said_to_be_so(served: Served, daemon: StandIn) -> None:
    key = {"Idempotency-Key": "cleaned"}
    job_id = post(served.client, '{"prompt": "x"}', **key).json()["job_id"]
    daemon.begin(job_id).complete()
    assert post(served.client, '{"prompt": "x"}', **key).json()["job_id"] == job_id
    served.spool.record(job_id).unlink()
    refused(post(served.client, '{"prompt": "x"}', **key), 409, job_id, "new key")
    refused(post(served.client, '{"prompt": "y"}', **key), 422, job_id)


def test_the_same_request_in_other_words_is_the_same(served: Served, daemon: StandIn) -> None:
    spellings = (
        '{"prompt": "z"}',
        '{"prompt": "z", "count": 1}',
        '{"count": 1, "prompt": "\\u007a"}',
    )
    answers = [post(served.client, body, **{"Idempotency-Key": "spelt"}) for body in spellings]
    assert len({answer.json()["job_id"] for answer in answers}) == 1

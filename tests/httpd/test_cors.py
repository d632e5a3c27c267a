"""Listed origins may read, with a preflight where browsers ask for one; no other may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from spool import tokens
from spool.layout import Spool
from tests.httpd.conftest import Served, start_server, stop_server
from tests.httpd.stand_in import report
from tests.httpd.test_gate import write_config
from tests.httpd.test_generate import refused

if TYPE_CHECKING:
    import httpx2

FRIEND, STRANGER = "https://album.example", "https://evil.example"
TOKEN = tokens.draw()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("cors")
    spool = Spool.create(folder / "spool")
    report(spool)
    config = write_config(folder, ("alice", TOKEN), more=f'origins = ["{FRIEND}"]\n')
    running = start_server(spool, "--config", str(config))
    yield running
    assert stop_server(running) == 0


def preflight(client: httpx2.Client, origin: str, method: str = "POST") -> httpx2.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "cors",
    }
    return client.options("/api/generate", headers=headers)


def test_a_listed_origin_may_ask_and_read(server: Served) -> None:
    answer = preflight(server.client, FRIEND)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    headers = {
        "Origin": FRIEND,
        "Authorization": f"Bearer {TOKEN}",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "cors",
    }
    answer = server.client.post("/api/generate", json={"prompt": "x"}, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert "Location" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


def test_a_listed_origin_reads_its_errors_too(server: Served) -> None:
    answer = server.client.get("/api/info", headers={"Origin": FRIEND})
    refused(answer, 401)
    assert answer.headers["access-control-allow-origin"] == FRIEND


@pytest.mark.parametrize("origin", [STRANGER, "null", f"{FRIEND}.evil.example", f"{FRIEND}:444"])
def test_another_origin_may_not(server: Served, origin: str) -> None:
    refused(preflight(server.client, origin), 403)
    answer = server.client.get("/healthz", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


def test_where_no_origin_is_listed_no_preflight_is_granted(client: httpx2.Client) -> None:
    answer = preflight(client, FRIEND)
    refused(answer, 403)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_plain_options_are_what_they_were(client: httpx2.Client) -> None:
    refused(client.options("/api/info"), 405)

"""A server with tokens lets in who shows one, by header or by cookie, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from starlette.routing import Route

from httpd.gate import COOKIE, is_open
from httpd.table import ENDPOINTS, routes
from spool import tokens
from spool.layout import Spool
from tests.httpd.conftest import Served, start_server, stop_server
from tests.httpd.stand_in import report
from tests.httpd.test_generate import refused

if TYPE_CHECKING:
    from collections.abc import Mapping

ALICE, BOB = tokens.draw(), tokens.draw()


def write_config(folder: Path, *named: tuple[str, str], more: str = "") -> Path:
    """A configuration whose tokens lie in a file of their own."""
    file = folder / "tokens"
    file.write_text("".join(f"{name} {token}\n" for name, token in named))
    file.chmod(0o600)
    config = folder / "genzo.toml"
    config.write_text(f'[http]\ntoken_file = "{file}"\n{more}')
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("closed")


@pytest.fixture(scope="module")
def spool(folder: Path) -> Spool:
    made = Spool.create(folder / "spool")
    report(made)
    return made


@pytest.fixture(scope="module")
def closed(folder: Path, spool: Spool) -> Iterator[Served]:
    """A server that asks for a token, and believes what a proxy on 127.0.0.1 says."""
    more = 'proxies = ["127.0.0.1"]\nhosts = ["genzo.example"]\n'
    config = write_config(folder, ("alice", ALICE), ("bob", BOB), more=more)
    running = start_server(spool, "--config", str(config))
    yield running
    assert stop_server(running) == 0
    assert ALICE not in running.log.read_text()
    assert BOB not in running.log.read_text()


@pytest.fixture
def client(closed: Served) -> Iterator[httpx2.Client]:
    """A client without a cookie."""
    with httpx2.Client(base_url=closed.client.base_url) as made:
        yield made


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(client: httpx2.Client, token: str, **headers: str) -> httpx2.Response:
    return client.post("/api/session", json={"token": token}, headers=headers)


def addresses() -> list[tuple[str, str]]:
    """Every method and path of the server, with names filled in."""
    listed = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
    listed += [("GET", route.path) for route in routes() if isinstance(route, Route)]
    filled = {(method, path.replace("{", "").replace("}", "")) for method, path in listed}
    return sorted(filled)


@pytest.mark.parametrize(("method", "path"), addresses())
def test_without_a_token_only_what_holds_nothing_of_the_spool_is_served(
    client: httpx2.Client, method: str, path: str
) -> None:
    response = client.request(method, path)
    assert (response.status_code != 401) == is_open(path)
    if not is_open(path):
        refused(response, 401, "token")
        assert response.headers["www-authenticate"] == 'Bearer realm="genzo"'


def test_what_is_open_is_these_and_no_more() -> None:
    assert {path for _, path in addresses() if is_open(path)} == {
        "/",
        "/api/session",
        "/docs",
        "/docs/name",
        "/healthz",
        "/readyz",
        "/static/name",
    }


@pytest.mark.parametrize(
    "path", ["//api/info", "/static/../api/info", "/docs/%2e%2e/api/info", "/static/..%2fapi/info"]
)
def test_no_spelling_of_an_open_path_leads_to_a_closed_one(closed: Served, path: str) -> None:
    with httpx2.Client(base_url=closed.client.base_url) as client:
        assert client.get(path).status_code in {401, 404}


def test_the_page_shows_nothing_of_the_spool_to_strangers(
    client: httpx2.Client, closed: Served
) -> None:
    assert str(closed.spool.root) not in client.get("/").text


@pytest.mark.parametrize("token", [ALICE, BOB])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_token_lets_in(client: httpx2.Client, token: str, scheme: str) -> None:
    assert client.get("/api/info", headers={"Authorization": f"{scheme} {token}"}).is_success


@pytest.mark.parametrize("token", ["x", ALICE[:-1], ALICE + "A", f"{ALICE} {BOB}", "é" * 43])
def test_a_wrong_token_does_not(client: httpx2.Client, token: str) -> None:
    header = {b"Authorization": b"Bearer " + token.encode()}
    response = client.get("/api/info", headers=header)
    refused(response, 401, "not valid")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_token_in_the_address_does_not(client: httpx2.Client) -> None:
    refused(client.get("/api/info", params={"token": ALICE}), 401, "token")


def test_wrong_tokens_do_not_fill_the_log(client: httpx2.Client, closed: Served) -> None:
    for _ in range(50):
        client.get("/api/info", headers=bearer("wrong"))
    assert closed.log_text().count("no valid token") == 1


def test_the_log_names_whose_job_it_is(client: httpx2.Client, closed: Served) -> None:
    response = client.post("/api/generate", json={"prompt": "x"}, headers=bearer(ALICE))
    assert f"{response.json()['job_id']}: accepted over HTTP from alice" in closed.log_text()


def test_each_token_has_idempotency_keys_of_its_own(client: httpx2.Client) -> None:
    def submit(token: str, prompt: str) -> httpx2.Response:
        headers = {**bearer(token), "Idempotency-Key": "1"}
        return client.post("/api/generate", json={"prompt": prompt}, headers=headers)

    first, other = submit(ALICE, "a"), submit(BOB, "b")
    assert (first.status_code, other.status_code) == (202, 202)
    assert submit(ALICE, "a").json()["job_id"] == first.json()["job_id"] != other.json()["job_id"]
    assert submit(BOB, "a").status_code == 422


def test_a_token_is_changed_for_a_cookie_that_lets_in(
    client: httpx2.Client, closed: Served
) -> None:
    response = log_in(client, ALICE)
    assert response.status_code == 204
    name, *attributes = response.headers["set-cookie"].split("; ")
    assert name.startswith(f"{COOKIE}=")
    assert ALICE not in name
    assert {part.lower() for part in attributes if "age" not in part.lower()} == {
        "httponly",
        "path=/",
        "samesite=strict",
    }
    assert client.get("/api/info").is_success
    job_id = client.post("/api/generate", json={"prompt": "x"}).json()["job_id"]
    assert f"{job_id}: accepted over HTTP from alice" in closed.log_text()
    with client.stream("GET", f"/api/sse/{job_id}") as stream:
        assert stream.status_code == 200
    assert client.delete("/api/session").status_code == 204
    assert COOKIE not in client.cookies
    assert client.get("/api/info").status_code == 401


def test_the_cookie_is_for_https_alone_where_a_trusted_proxy_speaks_it(
    client: httpx2.Client,
) -> None:
    response = log_in(client, ALICE, Host="genzo.example", **{"X-Forwarded-Proto": "https"})
    assert "; secure" in response.headers["set-cookie"].lower()


def test_a_stranger_is_no_proxy(tmp_path: Path, spool: Spool) -> None:
    server = start_server(spool, "--config", str(write_config(tmp_path, ("alice", ALICE))))
    response = log_in(server.client, ALICE, **{"X-Forwarded-Proto": "https"})
    assert "secure" not in response.headers["set-cookie"].lower()
    assert stop_server(server) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"token": "wrong" * 10}, 401),
        ({"token": ""}, 401),
        ({"token": 5}, 422),
        ({}, 422),
        ([], 422),
        ({"token": ALICE, "more": 1}, 422),
    ],
)
def test_what_is_no_token_sets_no_cookie(client: httpx2.Client, body: object, status: int) -> None:
    response = client.post("/api/session", json=body)
    refused(response, status)
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("cookie", ["", "x", ALICE, f"{int(time.time()) + 99}.{'A' * 43}"])
def test_a_forged_cookie_does_not_let_in(client: httpx2.Client, cookie: str) -> None:
    refused(client.get("/api/info", headers={"Cookie": f"{COOKIE}={cookie}"}), 401)


def test_a_wrong_header_is_not_mended_by_a_right_cookie(client: httpx2.Client) -> None:
    log_in(client, ALICE)
    assert client.get("/api/info", headers=bearer("wrong")).status_code == 401
    # That of a proxy that has its own users is none of ours.
    assert client.get("/api/info", headers={"Authorization": "Basic eDp5"}).is_success


def test_another_sites_page_cannot_log_in_for_its_visitor(client: httpx2.Client) -> None:
    refused(log_in(client, ALICE, Origin="http://evil.example"), 403)


def test_a_session_survives_a_restart_and_ends_with_its_token(tmp_path: Path, spool: Spool) -> None:
    config = write_config(tmp_path, ("alice", ALICE), ("bob", BOB))
    server = start_server(spool, "--config", str(config))
    cookie = log_in(server.client, ALICE).headers["set-cookie"].partition(";")[0]
    stop_server(server)
    for names, status in (([("alice", ALICE)], 200), ([("bob", BOB)], 401)):
        config = write_config(tmp_path, *names)
        server = start_server(spool, "--config", str(config))
        assert server.client.get("/api/info", headers={"Cookie": cookie}).status_code == status
        stop_server(server)


def test_a_server_without_tokens_has_no_cookie_to_give(served: Served) -> None:
    response = log_in(served.client, "anything")
    assert response.status_code == 204
    assert "set-cookie" not in response.headers


def test_the_specification_says_how_to_come_in(client: httpx2.Client, served: Served) -> None:
    document = client.get("/openapi.json", headers=bearer(ALICE)).json()
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}
    assert document["paths"]["/api/jobs"]["get"]["security"] == [{"token": []}, {"session": []}]
    assert "401" in document["paths"]["/api/jobs"]["get"]["responses"]
    assert "security" not in document["paths"]["/healthz"]["get"]
    open_document = served.client.get("/openapi.json").json()
    assert "securitySchemes" not in open_document["components"]

"""Foreign names and foreign pages are turned away."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from httpd.guard import host_name, is_loopback
from tests.httpd.conftest import Served
from tests.httpd.stand_in import StandIn
from tests.httpd.test_generate import refused

if TYPE_CHECKING:
    import httpx2


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "127.1.2.3", "[::1]:8000", "a.localhost"]
)
def test_a_loopback_name_is_answered_on_any_port(client: httpx2.Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.168.1.5:8000", "127.0.0.1.evil.example"]
)
def test_a_name_pointed_at_this_machine_is_refused(client: httpx2.Client, host: str) -> None:
    refused(client.get("/api/images", headers={"Host": host}), 421, host.partition(":")[0])


@pytest.mark.parametrize("host", ["", "user@localhost", "localhost/x", "localhost:port"])
def test_what_is_no_host_is_refused(client: httpx2.Client, host: str) -> None:
    refused(client.get("/healthz", headers={"Host": host}), 400, "Host")


def test_a_request_without_host_is_refused(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://localhost:1", "http://127.0.0.1"]
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_change_from_another_origin_is_refused(
    client: httpx2.Client, method: str, origin: str
) -> None:
    path = "/api/generate" if method == "POST" else "/api/jobs/x"
    refused(client.request(method, path, headers={"Origin": origin}), 403, origin)


def test_a_change_from_our_own_page_is_taken(served: Served, daemon: StandIn) -> None:
    headers = {"Origin": f"http://127.0.0.1:{served.port}"}
    response = served.client.post("/api/generate", json={"prompt": "x"}, headers=headers)
    assert response.status_code == 202


def test_reading_from_another_origin_is_left_to_the_browser(client: httpx2.Client) -> None:
    response = client.get("/api/info", headers={"Origin": "http://evil.example"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


def test_names_are_read_off_the_host_header() -> None:
    assert host_name("LocalHost:80") == "localhost"
    assert host_name("[::1]:80") == "::1"
    assert [host_name(text) for text in ("", "a:b", "a@b", "[::1", "a/b")] == [None] * 5
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")

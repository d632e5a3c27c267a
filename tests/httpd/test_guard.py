"""Foreign names and foreign pages are turned away."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx2
import psutil
import pytest

from httpd.guard import host_name, is_loopback
from spool.layout import Spool
from tests.httpd.conftest import Served, start_server, stop_server
from tests.httpd.stand_in import StandIn, report
from tests.httpd.test_generate import refused


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


PAGE = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}
VISIT = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("path", ["/api/info", "/api/sse/gallery", "/api/images/x.png"])
def test_a_page_of_another_site_embeds_and_reads_nothing(
    client: httpx2.Client, site: str, path: str
) -> None:
    refused(client.get(path, headers={"Sec-Fetch-Site": site, **PAGE}), 403, site)
    image = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}
    refused(client.get(path, headers=image), 403, site)
    frame = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}
    refused(client.get(path, headers=frame), 403, site)


def test_a_link_on_another_site_may_be_followed(client: httpx2.Client) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site", **VISIT}).status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_our_own_page_reads_and_posts(client: httpx2.Client, daemon: StandIn, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, **PAGE}
    assert client.get("/api/info", headers=headers).status_code == 200
    response = client.post("/api/generate", json={"prompt": "x"}, headers=headers)
    assert response.status_code == 202


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_change_by_another_sites_form_is_refused_also_without_an_origin(
    client: httpx2.Client, site: str
) -> None:
    headers = {"Sec-Fetch-Site": site, **VISIT}
    refused(client.post("/api/generate", json={"prompt": "x"}, headers=headers), 403, site)


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that others reach, as one behind a proxy that speaks TLS."""
    folder = tmp_path_factory.mktemp("exposed")
    spool = Spool.create(folder / "spool")
    report(spool)
    config = folder / "genzo.toml"
    config.write_text(
        '[http]\ninsecure = true\nhosts = ["genzo.example"]\nproxies = ["127.0.0.1"]\n'
    )
    running = start_server(spool, "--host", "0.0.0.0", "--config", str(config))
    yield running
    assert stop_server(running) == 0


def test_a_configured_name_is_answered_to_in_any_case_and_on_any_port(exposed: Served) -> None:
    for host in ("genzo.example", "GENZO.example:8443", "localhost"):
        assert exposed.client.get("/api/info", headers={"Host": host}).status_code == 200
    for host in ("example", "evil.genzo.example", "genzo.example.evil.example", "192.0.2.7"):
        refused(exposed.client.get("/api/info", headers={"Host": host}), 421)


def test_the_address_that_a_request_came_in_at_is_answered_to(exposed: Served) -> None:
    addresses = [
        info.address
        for infos in psutil.net_if_addrs().values()
        for info in infos
        if info.family == socket.AF_INET and not is_loopback(info.address)
    ]
    if not addresses:
        pytest.skip("this machine has no address beyond loopback")
    url = f"http://{addresses[0]}:{exposed.port}/api/info"
    with httpx2.Client() as client:
        assert client.get(url).status_code == 200
        refused(client.get(url, headers={"Host": "192.0.2.7"}), 421)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://genzo.example", 202),
        ("https://genzo.example:443", 202),
        ("http://genzo.example", 403),
        ("https://genzo.example:8443", 403),
        ("https://evil.example", 403),
    ],
)
def test_behind_a_proxy_the_page_has_the_proxys_scheme(
    exposed: Served, origin: str, status: int
) -> None:
    headers = {"Host": "genzo.example", "X-Forwarded-Proto": "https", "Origin": origin}
    response = exposed.client.post("/api/generate", json={"prompt": "x"}, headers=headers)
    assert response.status_code == status

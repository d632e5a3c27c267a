"""What no honest client sends: every answer is problem JSON, and nothing is let through."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from httpd.headers import SAFE
from spool.problems import MEDIA_TYPE
from tests.httpd.conftest import Served
from tests.httpd.test_generate import refused
from tests.httpd.wire import Answer, exchange, request

if TYPE_CHECKING:
    import httpx2

TRAVERSALS = [
    "../spool.json",
    "..%2fspool.json",
    "%2e%2e%2fspool.json",
    "%2e%2e/spool.json",
    "%252e%252e%252fspool.json",
    "..%5cspool.json",
    "..\\spool.json",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "//etc/passwd",
    "....//spool.json",
    "..;/spool.json",
    "%c0%ae%c0%ae%c0%afspool.json",
    "%e0%80%ae%e0%80%ae/spool.json",
    "..%c1%9cspool.json",
    "%uff0e%uff0e/spool.json",
    "20261123T121728417-7f3a9c-0.png%00.json",
    "20261123T121728417-7f3a9c-0.png%0a",
    "20261123T121728417-7f3a9c-0.png/../../../../spool.json",
    "20261123T121728417-7f3a9c-0.thumb.webp%2f..%2f..%2f..%2fspool.json",
    "%EF%BC%8E%EF%BC%8E%EF%BC%8Fspool.json",
    "2026112３T121728417-7f3a9c-0.png",
]
FOLDERS = ["/", "/api/images/", "/api/thumbs/", "/api/jobs/", "/api/sse/", "/docs/", "/static/"]


def check_problem(answer: Answer, *statuses: int) -> None:
    """`answer` is whole problem JSON with the headers that every answer has."""
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["status"] == answer.status
    assert isinstance(answer.json()["detail"], str)
    assert {name.lower(): value for name, value in SAFE.items()}.items() <= answer.headers.items()


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_spelling_of_a_name_leads_out_of_its_folder(served: Served, folder: str) -> None:
    for name in TRAVERSALS:
        target = quote(folder + name, safe="/%\\;.")
        answer = exchange(served.port, request(target, "Connection: close"))
        check_problem(answer, 400, 404)
        assert b"root:" not in answer.body
        assert b'"uuid"' not in answer.body


@pytest.mark.parametrize("name", TRAVERSALS)
def test_nothing_is_deleted_by_such_a_name(served: Served, name: str) -> None:
    for folder in ("/api/jobs/", "/api/images/"):
        target = quote(folder + name, safe="/%\\;.")
        answer = exchange(served.port, request(target, "Connection: close", method="DELETE"))
        check_problem(answer, 400, 404, 405)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "http://evil.example/api/info"),
        ("GET", "http://localhost/api/info"),
        ("GET", "file:///etc/passwd"),
        ("GET", "api/info"),
        ("CONNECT", "evil.example:443"),
        ("OPTIONS", "*"),
        ("GET", "*"),
    ],
)
def test_a_target_that_is_no_path_is_refused(served: Served, method: str, target: str) -> None:
    check_problem(exchange(served.port, request(target, method=method)), 400)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"hello\r\n\r\n",
        b"\r\n\r\n\r\n",
        bytes(range(256)) * 20,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9.9\r\nHost: localhost\r\n\r\n",
        b"\xff\xfe / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_in_problem_json(served: Served, data: bytes) -> None:
    answer = exchange(served.port, data)
    check_problem(answer, 400, 505)
    assert answer.headers["connection"] == "close"
    assert answer.rest == b""


@pytest.mark.parametrize(
    "data",
    [
        request("/" + "a" * 100_000),
        request("/", "X: " + "a" * 1_000_000),
        request("/", *[f"X{i}: {i}" for i in range(50_000)]),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 3_000_000,
    ],
    ids=["target", "header", "headers", "endless"],
)
def test_a_bomb_of_headers_is_refused_with_an_answer(served: Served, data: bytes) -> None:
    check_problem(exchange(served.port, data), 431)


SMUGGLED = request("/api/info", "X-Smuggled: yes")


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length: 0", "Content-Length: 4"],
        ["Content-Length: 0, 4"],
        ["Content-Length: +4"],
        ["Content-Length: -1"],
        ["Content-Length: 0x4"],
        ["Content-Length: 4 4"],
        ["Content-Length: ٤"],
    ],
)
def test_a_request_whose_end_is_in_doubt_ends_its_connection(
    served: Served, headers: list[str]
) -> None:
    lines = ["POST /api/generate HTTP/1.1", "Host: localhost", *headers, "", ""]
    data = "\r\n".join(lines).encode() + b"0\r\n\r\n" + SMUGGLED
    answer = exchange(served.port, data)
    check_problem(answer, 400, 501)
    assert answer.headers["connection"] == "close"
    assert answer.rest == b""


def test_an_old_client_may_not_send_chunks(served: Served) -> None:
    data = b"POST /api/generate HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = exchange(served.port, data + b"0\r\n\r\n" + SMUGGLED)
    check_problem(answer, 400)
    assert answer.rest == b""


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"5 \r\n{}", b"2\r\n{}{}\r\n", b"f" * 40])
def test_a_chunk_that_is_none_ends_its_connection(served: Served, chunk: bytes) -> None:
    head = request(
        "/api/generate",
        "Transfer-Encoding: chunked",
        "Content-Type: application/json",
        method="POST",
    )
    answer = exchange(served.port, head + chunk + b"\r\n0\r\n\r\n" + SMUGGLED)
    check_problem(answer, 400)
    assert answer.rest == b""


def test_requests_in_a_row_are_answered_in_a_row(served: Served) -> None:
    answer = exchange(served.port, request("/healthz") * 3)
    assert answer.status == 200
    assert answer.rest.count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("size", [(1 << 20) + 1, 3 << 20])
def test_a_body_too_large_is_refused_declared_or_not(
    client: httpx2.Client, served: Served, size: int
) -> None:
    headers = {"Content-Type": "application/json"}
    refused(client.post("/api/generate", content=b" " * size, headers=headers), 413)
    chunks = (b" " * (1 << 16) for _ in range(-(-size // (1 << 16))))
    refused(client.post("/api/generate", content=chunks, headers=headers), 413)


@pytest.mark.parametrize("length", ["10000000000", "9" * 18])
def test_a_body_far_too_large_is_refused_before_it_comes(served: Served, length: str) -> None:
    head = request("/api/generate", f"Content-Length: {length}", method="POST")
    check_problem(exchange(served.port, head), 413)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "identity, gzip"])
@pytest.mark.parametrize("path", ["/api/generate", "/api/session"])
def test_a_compressed_body_is_refused(client: httpx2.Client, path: str, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    refused(client.post(path, content=b"\x1f\x8b" * 100, headers=headers), 415, coding)


def test_a_websocket_is_not_to_be_had(served: Served) -> None:
    headers = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    answer = exchange(served.port, request("/api/info", *headers, "Sec-WebSocket-Key: AAAA"))
    assert answer.status == 200


def test_nothing_that_strangers_send_fills_the_log(served: Served) -> None:
    before = served.log_text()
    for data in (b"hello\r\n\r\n", request("/", "Connection: Upgrade", "Upgrade: websocket")):
        for _ in range(20):
            exchange(served.port, data.replace(b"Host:", b"Connection: close\r\nHost:"))
    assert served.log_text() == before

"""A client may hold so many streams and no more; what others hold does not count for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from spool import tokens
from spool.layout import Spool
from tests.httpd.conftest import Served, start_server, stop_server
from tests.httpd.stand_in import report
from tests.httpd.test_gate import write_config
from tests.httpd.test_generate import refused
from tests.httpd.wire import request
from tests.services import wait_for

ALICE, BOB = tokens.draw(), tokens.draw()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    spool = Spool.create(tmp_path / "spool")
    report(spool)
    named = (("alice", ALICE), ("bob", BOB))
    config = write_config(tmp_path, *named, more="streams_per_client = 3\n")
    running = start_server(spool, "--config", str(config))
    yield running
    assert stop_server(running) == 0


def open_stream(stack: ExitStack, server: Served, token: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return stack.enter_context(server.client.stream("GET", "/api/sse/gallery", headers=headers))


def test_a_token_may_hold_three_streams_and_the_fourth_waits_for_one_to_end(
    server: Served,
) -> None:
    with ExitStack() as stack:
        opened = [open_stream(stack, server, ALICE) for _ in range(3)]
        assert [stream.status_code for stream in opened] == [200] * 3
        fourth = open_stream(stack, server, ALICE)
        fourth.read()
        refused(fourth, 429, "streams_per_client")
        assert fourth.headers["retry-after"] == "30"
        assert open_stream(stack, server, BOB).status_code == 200
        headers = {"Authorization": f"Bearer {ALICE}"}
        assert server.client.get("/api/info", headers=headers).status_code == 200
        opened[0].close()

        def is_free() -> bool:
            with ExitStack() as attempt:
                return open_stream(attempt, server, ALICE).status_code == 200

        wait_for(is_free, seconds=5, what="the place of the stream that ended")


def test_loopback_without_a_token_stands_for_many(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(120):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            connection.sendall(request("/api/sse/gallery"))
            assert connection.recv(15) == b"HTTP/1.1 200 OK"

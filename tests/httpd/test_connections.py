"""Thousands of connections, and clients that take their time: others are answered meanwhile.

All of it against real processes; each bound is set low enough to be reached here.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from httpd import connections
from spool.layout import Spool
from tests.httpd.conftest import Served, start_server, stop_server
from tests.httpd.stand_in import report
from tests.httpd.wire import SECONDS, parse, request
from tests.services import wait_for

DRIP = request("/api/info", "X-Slow: ")[:-4]


@contextmanager
def bounded(folder: Path, **settings: int) -> Iterator[Served]:
    """A server with these settings of [http]."""
    spool = Spool.create(folder / "spool")
    report(spool)
    config = folder / "genzo.toml"
    config.write_text(
        "[http]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())
    )
    running = start_server(spool, "--config", str(config))
    try:
        yield running
    finally:
        assert stop_server(running) == 0
        assert "Traceback" not in (logged := running.log.read_text()), logged


def connect(stack: ExitStack, port: int, data: bytes = b"") -> socket.socket:
    """A connection that has sent `data`; closed with `stack`."""
    made = stack.enter_context(socket.create_connection(("127.0.0.1", port), SECONDS))
    with contextlib.suppress(ConnectionError):  # it may have been refused already
        made.sendall(data)
    return made


def is_served(port: int) -> bool:
    """Whether somebody new is answered now."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(request("/api/info", "Connection: close"))
        return connection.recv(20).startswith(b"HTTP/1.1 200")


def descriptors(server: Served) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def answered(opened: list[socket.socket]) -> list[bytes]:
    """The first bytes on those connections that the server has answered or closed."""
    found = []
    for connection in opened:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            try:
                found.append(connection.recv(65536))
            except ConnectionError:
                found.append(b"")
    return found


@pytest.mark.parametrize(
    "data",
    [
        b"",
        DRIP,
        request("/healthz"),
        request("/api/generate", "Content-Length: 9", method="POST") + b"{",
    ],
    ids=["silent", "slow head", "idle", "slow body"],
)
def test_connections_above_the_bound_make_the_longest_waiting_give_way(
    tmp_path: Path, data: bytes
) -> None:
    with bounded(tmp_path, connections=100) as server, ExitStack() as stack:
        quiet = descriptors(server)
        opened = []
        for _ in range(10):
            opened += [connect(stack, server.port, data) for _ in range(60)]
            assert is_served(server.port)
            assert descriptors(server) <= quiet + 100 + connections.SPARE
        wait_for(lambda: descriptors(server) <= quiet + 101, what="the others to be closed")
        # The newest are still there.
        assert answered(opened[-50:]).count(b"") == 0


def test_streams_leave_a_quarter_of_the_connections_to_others(tmp_path: Path) -> None:
    with bounded(tmp_path, connections=40) as server, ExitStack() as stack:
        stream = request("/api/sse/gallery")
        opened = [connect(stack, server.port, stream) for _ in range(60)]
        wait_for(lambda: answered(opened[-1:]), what="the last one's answer")
        assert is_served(server.port)
        statuses = [parse(data).status for data in answered(opened[:-1]) if data]
        assert statuses.count(200) == 30
        # 503 for those that came while forty requests were looked at.
        assert set(statuses) <= {200, 429, 503}


def test_a_server_full_of_work_says_so(tmp_path: Path) -> None:
    with bounded(tmp_path, connections=16) as server, ExitStack() as stack:
        streams = [connect(stack, server.port, request("/api/sse/gallery")) for _ in range(12)]
        # The rest of a response that is never read keeps its connection at work.
        big = request("/docs/swagger-ui-bundle.js")
        for _ in range(4):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(big * 4)
        time.sleep(0.5)
        refused = connect(stack, server.port)
        answer = parse(refused.recv(65536))
        assert (answer.status, answer.headers["retry-after"]) == (503, "30")
        assert "connections" in answer.json()["detail"]
        streams[0].close()
        wait_for(lambda: is_served(server.port), seconds=10, what="room for one more")


def test_slow_heads_and_slow_rests_are_ended_and_others_answered_meanwhile(
    tmp_path: Path,
) -> None:
    with bounded(tmp_path, connections=2000) as server, ExitStack() as stack:
        quiet = descriptors(server)
        slow = [connect(stack, server.port, DRIP) for _ in range(300)]
        # These have had their answer, and send the body that nobody reads.
        rest = request("/api/info", "Content-Length: 100000")
        slow += [connect(stack, server.port, rest) for _ in range(100)]
        silent = [connect(stack, server.port) for _ in range(100)]
        began = time.monotonic()
        while time.monotonic() - began < connections.HEAD_SECONDS + 1:
            for connection in slow:
                with contextlib.suppress(ConnectionError):
                    connection.send(b"a")
            assert is_served(server.port)
            time.sleep(0.5)
        seconds = connections.LINGER_SECONDS + 3
        wait_for(lambda: descriptors(server) <= quiet + 2, seconds=seconds, what="their end")
        answers = [parse(data) for data in answered(slow[:300]) if data]
        assert {answer.status for answer in answers} == {408}
        assert set(answered(silent)) == {b""}


def test_two_thousand_silent_connections_leave_no_trace(tmp_path: Path) -> None:
    with bounded(tmp_path, connections=500) as server:
        quiet = descriptors(server)
        with ExitStack() as stack:
            for _ in range(2000):
                connect(stack, server.port)
            assert is_served(server.port)
        wait_for(lambda: descriptors(server) <= quiet + 1, what="all to be forgotten")


def test_few_open_files_mean_few_connections_and_a_word_about_it(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    report(spool)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "httpd", "--spool", str(spool.root), "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-c", 'ulimit -n 1000; exec "$@"', "sh", *command], stderr=output
        )
    try:
        wait_for(lambda: "listening" in log.read_text(), what="genzo-httpd to listen")
        found = re.search(r":(\d+)$", log.read_text().strip())
        assert found is not None
        assert "244 connections at most, not 8000" in log.read_text()
        with ExitStack() as stack:
            for _ in range(1500):
                connect(stack, int(found[1]), DRIP)
            assert is_served(int(found[1]))
    finally:
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert "Too many open files" not in log.read_text()

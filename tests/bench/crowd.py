"""How others are answered while ten thousand connections say nothing, or next to nothing."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from spool.layout import Spool
from tests.services import running_httpd

_OWN_FILES = 1000
_HEAD = b"GET /api/info HTTP/1.1\r\nHost: localhost\r\n"
_LISTEN = b"GET /api/sse/gallery HTTP/1.1\r\nHost: localhost\r\n\r\n"
CROWDS = {"silent": b"", "with half a head": _HEAD + b"X: ", "that listen": _LISTEN}
"""What each connection of a crowd sends."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What a crowd came to: what the server held, and the answers to others meanwhile."""

    held: int
    grown_bytes: int
    answers_ms: list[float]


def crowd(home: Path, connections: int, sent: bytes) -> Crowd:
    """Open `connections` that send `sent`, ask between them as somebody else, and close them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, connections + _OWN_FILES), hard))
    with running_httpd(Spool.create(home)) as port, ExitStack() as stack:
        server = _listening_at(port)
        before = server.memory_info().rss
        _answer_ms(port)
        answers = list(_open(stack, port, connections, sent))
        held = len(server.net_connections()) - 1
        grown = server.memory_info().rss - before
    return Crowd(held, grown, answers)


def _open(stack: ExitStack, port: int, connections: int, sent: bytes) -> Iterator[float]:
    """Open the crowd; after every hundredth connection, how long another's answer took."""
    for number in range(connections):
        made = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        with contextlib.suppress(ConnectionError):  # it may have been turned away already
            made.sendall(sent)
        if number % 100 == 99:
            yield _answer_ms(port)


def _answer_ms(port: int) -> float:
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(_HEAD + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:100]
    return 1000 * (time.perf_counter() - started)


def _listening_at(port: int) -> psutil.Process:
    """The server at `port`, a child of ours."""
    for child in psutil.Process().children():
        if any(connection.laddr.port == port for connection in child.net_connections()):
            return child
    raise AssertionError(f"no child of ours listens at {port}")

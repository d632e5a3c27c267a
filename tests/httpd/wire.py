"""HTTP as bytes on a socket: what no client library would send."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import Any

SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """One answer; `rest` is what came behind it on the same connection, up to its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(port: int, data: bytes) -> Answer:
    """Send `data` and read up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        # A server that refuses early may close while we still send.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer:
    """The answer on `connection`, and all that follows until the server closes it or is silent."""
    connection.settimeout(1.5)
    received = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return parse(received)


def parse(received: bytes) -> Answer:
    head, _, after = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    assert first.startswith("HTTP/1.1 "), received[:200]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", "0"))
    return Answer(int(first.split()[1]), headers, after[:length], after[length:])


def request(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A request as it is sent, for localhost unless `headers` say otherwise."""
    lines = [f"{method} {target} HTTP/1.1", *headers]
    if not any(header.lower().startswith("host:") for header in headers):
        lines.append("Host: localhost")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

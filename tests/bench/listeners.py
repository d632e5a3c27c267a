"""`python -m tests.bench.listeners PORT PATH COUNT`: many listeners of one stream, in one process.

Each event's data holds `sent`, the monotonic instant of its writing. Prints `ready` once all have
had their first event, and at the end of the last stream a line of JSON (`Heard`).
"""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass, field

_EVENT = re.compile(rb'"step": (\d+).*?"sent": ([0-9.]+)')
_AT_ONCE = 50


@dataclass
class Heard:
    """What the listeners heard: delays in milliseconds, and how many events each had."""

    delays_ms: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    ends: int = 0


@dataclass
class Listener:
    connection: socket.socket
    steps: int = 0
    last: int = -1
    rest: bytes = b""
    is_greeted: bool = False


def main(port: int, path: str, count: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    poll, listeners, heard = select.epoll(), {}, Heard()
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        listeners[connection.fileno()] = Listener(connection)
        poll.register(connection, select.EPOLLIN)
        if number % _AT_ONCE == 0:
            _until_greeted(poll, listeners, heard)
    _until_greeted(poll, listeners, heard)
    print("ready", flush=True)
    while listeners:
        _read(poll, listeners, heard)
    print(json.dumps(asdict(heard)), flush=True)


def _until_greeted(poll: select.epoll, listeners: dict[int, Listener], heard: Heard) -> None:
    while not all(listener.is_greeted for listener in listeners.values()):
        _read(poll, listeners, heard)


def _read(poll: select.epoll, listeners: dict[int, Listener], heard: Heard) -> None:
    for descriptor, _ in poll.poll(1):
        listener = listeners[descriptor]
        data = listener.connection.recv(1 << 18)
        now = time.monotonic()
        listener.is_greeted = listener.is_greeted or b"data: " in data
        whole, end, rest = (listener.rest + data).rpartition(b"\n\n")
        listener.rest = rest
        for step, sent in _EVENT.findall(whole):
            if int(step) > listener.last:
                listener.last = int(step)
                listener.steps += 1
                heard.delays_ms.append(1000 * (now - float(sent)))
        if not data or b"id: final" in whole + end:
            heard.ends += bool(data)
            heard.steps.append(listener.steps)
            poll.unregister(descriptor)
            listeners.pop(descriptor).connection.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

"""`python -m tests.httpd.dead_listeners FOLDER KIND`: how long a dead listener is kept.

Prints the seconds until the server has let it go. KIND is `silent`, one who stops reading, or
`unplugged`, one whose network is gone: for that the process must have a network of its own.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path

from httpd.application import create_application
from httpd.server import Server, drop_the_dead
from httpd.service import listen
from spool import acceptance
from spool.catalogue import Catalogue
from spool.jobs import JobRequest
from spool.layout import Spool
from tests.httpd.stand_in import StandIn

DEAD_SECONDS = 2.0
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_PREVIEW = os.urandom(200_000)
GIVE_UP_SECONDS = 20.0


def main(folder: Path, kind: str) -> None:
    if kind == "unplugged":
        set_loopback(up=True)
    spool = Spool.create(folder)
    ticket = acceptance.draw_ticket(
        spool, JobRequest(prompt="x"), Catalogue(), acceptance.Sender("cli", 0)
    )
    acceptance.admit(spool, ticket)
    run = StandIn(spool).begin(ticket.job_id)
    run.step(0)
    listener = listen("127.0.0.1", 0)
    drop_the_dead(listener, DEAD_SECONDS)
    server = Server(create_application(spool), lambda: None, most_connections=100)
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1])
    connection.request("GET", f"/api/sse/{ticket.job_id}")
    connection.getresponse().readline()
    assert len(server.server_state.connections) == 1
    if kind == "unplugged":
        set_loopback(up=False)
    began = time.monotonic()
    step = 0
    while server.server_state.connections and time.monotonic() - began < GIVE_UP_SECONDS:
        step += 1
        run.step(step, 10_000, _PREVIEW)
        time.sleep(0.05)
    print(time.monotonic() - began, flush=True)
    os._exit(0)


def set_loopback(*, up: bool) -> None:
    """Bring the loopback device of this process's own network up or down (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH22x", b"lo", _IFF_UP if up else 0)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

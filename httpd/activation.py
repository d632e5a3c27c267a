"""Sockets that systemd holds for us (sd_listen_fds(3)): connections wait while we restart."""

from __future__ import annotations

import os
import socket

_FIRST_DESCRIPTOR = 3


def inherited_listeners() -> list[socket.socket]:
    """The listening sockets that systemd handed over; empty if it did not start us.

    Raises OSError if a descriptor that was announced is no socket.
    """
    announced_to = os.environ.pop("LISTEN_PID", None)
    count = os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if announced_to != str(os.getpid()) or not count.isdecimal():
        return []
    listeners = [socket.socket(fileno=_FIRST_DESCRIPTOR + n) for n in range(int(count))]
    for listener in listeners:
        listener.set_inheritable(False)
    return listeners

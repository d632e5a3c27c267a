"""Messages to systemd (sd_notify(3)): a datagram to the socket it names, or nothing at all."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(message: str) -> None:
    """Send `message`, such as `READY=1`; does nothing where systemd did not start us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # systemd may be reloading; a lost status line is not worth a picture.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.sendall(message.encode())

"""Messages to systemd (sd_notify(3)): a datagram to the socket it names, or nothing at all."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager


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


def say(sentence: str) -> None:
    """Show `sentence` in `systemctl status`, also after the end of this process."""
    notify(f"STATUS={' '.join(sentence.split())}")


def pat() -> None:
    """Tell the watchdog that work goes on; belongs where the work is done, never on a timer."""
    notify("WATCHDOG=1")


def pat_seconds() -> float:
    """The longest that an idle loop may wait before it pats again: half of what the unit allows."""
    return int(os.environ.get("WATCHDOG_USEC") or 0) / 2e6 or float("inf")


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Have the watchdog wait up to `seconds` for a phase in which nothing can be said.

    `EXTEND_TIMEOUT_USEC` would not do: it extends starting and stopping only (sd_notify(3)). Does
    nothing where the unit has no watchdog, or a more patient one.
    """
    usual = int(os.environ.get("WATCHDOG_USEC") or 0)
    longer = int(seconds * 1e6)
    if not 0 < usual < longer:
        yield
        return
    notify(f"WATCHDOG_USEC={longer}\nWATCHDOG=1")
    try:
        yield
    finally:
        notify(f"WATCHDOG_USEC={usual}\nWATCHDOG=1")

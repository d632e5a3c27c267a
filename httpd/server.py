"""uvicorn, made to end at once: open event streams are closed first."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from httpd.connections import IDLE_SECONDS, Connection, Connections
from httpd.descriptors import ACCEPTED_AT_ONCE
from httpd.guard import MAX_HEAD_BYTES
from spool.notify import notify, pat

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

BACKLOG = 4096
"""How many connections the kernel keeps waiting for us, as far as net.core.somaxconn allows.

A client that finds no room tries again only after a second."""
_TICKS_PER_PAT = 100
"""uvicorn's loop ticks ten times a second."""
ARRIVING_SECONDS = 0.1
"""How long the request of a connection that was just accepted is waited for at the end."""
GRACE_SECONDS = 0.4
"""How long a response may still take when the server ends; a reader may have stopped reading."""

DEAD_SECONDS = 30
"""How long a peer may leave everything unanswered, or take nothing, until it counts as gone."""


def drop_the_dead(listener: socket.socket, seconds: float = DEAD_SECONDS) -> None:
    """Let the kernel end connections made through `listener` whose other end is gone.

    A listener of events sends nothing, so nobody else would notice: neither that its machine was
    switched off, nor that it stopped reading. Accepted sockets inherit all of this.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(seconds / 2)))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, round(seconds / 6)))
    # With this the count of probes has no say: the time without an answer has.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * seconds))


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, which end it with success."""

    def __init__(
        self,
        application: ASGIApp,
        close_streams: Callable[[], None],
        *,
        most_connections: int,
        proxies: Sequence[str] = (),
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=Connection,
                ws="none",
                lifespan="on",
                backlog=ACCEPTED_AT_ONCE,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                timeout_keep_alive=IDLE_SECONDS,
                log_config=None,
                access_log=False,
                server_header=False,
                # uvicorn's own defaults believe whoever comes from 127.0.0.1.
                proxy_headers=bool(proxies),
                forwarded_allow_ips=list(proxies),
                timeout_graceful_shutdown=1,
            )
        )
        self.server_state = Connections(most_connections)
        self._close_streams = close_streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Not uvicorn's own: it raises the signal again at the end, and the exit status would be
        # that of a death by signal.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            # asyncio takes one number for both, how many it accepts at once and how many may wait.
            listener.listen(BACKLOG)
            log.info("listening on %s", address(listener))
        if self.started:
            notify("READY=1")

    async def on_tick(self, counter: int) -> bool:
        # From the loop that serves, so that a watchdog notices when it hangs.
        if counter % _TICKS_PER_PAT == 0:
            pat()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        notify("STOPPING=1")
        # The lifespan ends only after the connections, so it cannot end the streams.
        self._close_streams()
        # Who was accepted a moment ago is answered; who comes now waits, if systemd holds the port.
        for server in self.servers:
            server.close()
        await asyncio.sleep(ARRIVING_SECONDS)
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._abort_rest)
        await super().shutdown(sockets)

    def _abort_rest(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


def address(listener: socket.socket) -> str:
    """The address of a listening socket, as it is typed into a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

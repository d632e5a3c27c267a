"""Connections: how many there may be, and how long each may keep the server waiting.

uvicorn bounds neither the time a request's head may take nor the number of connections. Here each
connection that waits for its client has a deadline, and where there are too many, the one that has
waited longest gives way to the new one. So who opens thousands and says nothing shuts nobody out.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from httpd.headers import SAFE
from httpd.refusals import encode_problem, retry_after
from spool.problems import MEDIA_TYPE, Problem

HEAD_SECONDS = 10.0
"""How long a client may take for the head of a request, and for the rest of a refused body."""
IDLE_SECONDS = 30
"""How long a connection may stand between two requests."""
LINGER_SECONDS = 2.0
"""How long a refused client is listened to: what it still sends would reset the connection, and
with it the answer."""
SPARE = 128
"""How many connections above the bound are told so, before others are just cut off."""


class Connections(ServerState):
    """The connections of a server, of which there are at most `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.waiting: dict[Connection, None] = {}
        """Those that wait for a request or the rest of one, the longest waiting first."""


class Connection(H11Protocol):
    """One connection of a client."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(server_state, Connections)
        self._all = server_state
        self._deadline: asyncio.TimerHandle | None = None
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._all.most and not self._make_room():
            self._refuse(_FULL)
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_refused:
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; h11's error, which uvicorn handles just now, says more."""
        error = sys.exc_info()[1]
        status = HTTPStatus(getattr(error, "error_status_hint", HTTPStatus.BAD_REQUEST))
        self._refuse(Problem("Not HTTP", f"{msg} {error}"[:300], status=status))

    def _watch(self) -> None:
        """Set the deadline of a connection that waits for its client, else take it back."""
        if self._is_refused or self.transport.is_closing():
            return
        if self._is_busy() and not self.cycle.more_body:
            self._end_waiting()
            return
        self._all.waiting.setdefault(self)
        if self._is_busy():
            # Who reads the body has a time-out for it.
            self._end_deadline()
        elif self._deadline is None and self.timeout_keep_alive_task is None:
            # uvicorn has a time-out of its own for those that are idle, which the first byte ends.
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._on_deadline)

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _make_room(self) -> bool:
        """Close the connection that has waited longest; False if none waits."""
        longest = next(iter(self._all.waiting), None)
        if longest is None:
            return False
        longest.give_way()
        return True

    def give_way(self) -> None:
        """Close a connection that waits for its client."""
        self._end_waiting()
        self.connections.discard(self)
        self.transport.close()

    def _on_deadline(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:
            self._refuse(_SLOW)
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer with `problem` and close, once the client has had the time to read it."""
        self._end_waiting()
        self._is_refused = True
        has_begun = self.cycle is not None and self.cycle.response_started and self._is_busy()
        if has_begun or len(self.connections) > self._all.most + SPARE:
            self.transport.abort()
            return
        if self._is_busy():
            # Its handler sees a client that has gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_encode(problem))
        try:
            self.transport.write_eof()
        except OSError:  # it has hung up meanwhile
            self.transport.abort()
            return
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _end_waiting(self) -> None:
        self._all.waiting.pop(self, None)
        self._end_deadline()

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


_FULL = Problem(
    "Too many connections",
    "this server has as many connections as it serves; try again soon",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
)
_SLOW = Problem(
    "Too slow",
    f"the head of the request did not arrive within {HEAD_SECONDS:g} s; send it again",
    status=HTTPStatus.REQUEST_TIMEOUT,
)


def _encode(problem: Problem) -> bytes:
    """The whole answer to a client whose request did not become one."""
    body = encode_problem(problem)
    headers = {
        **SAFE,
        **retry_after(problem.status),
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    status = HTTPStatus(problem.status)
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body

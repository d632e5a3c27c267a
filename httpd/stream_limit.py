"""Streams stay open, so their number is bounded: for each client, and in all."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from httpd.guard import is_loopback
from httpd.refusals import problem_response
from spool.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_STREAMS = "/api/sse/"


class StreamLimit:
    """Middleware that refuses a client's stream too many with 429, and one above `total` with 503.

    A client is a token, or where there is none an address. Loopback's stands for everyone on this
    machine and behind its tunnels, so only `total` bounds it.
    """

    def __init__(self, app: ASGIApp, *, per_client: int, total: int) -> None:
        self._app = app
        self._per_client = per_client
        self._total = total
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_STREAMS):
            await self._app(scope, receive, send)
            return
        client, limit = self._client_of(scope)
        problem = self._fault(client, limit)
        if problem is not None:
            await problem_response(problem)(scope, receive, send)
            return
        self._open[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]

    def _client_of(self, scope: Scope) -> tuple[str, int]:
        """Who asks, and how many streams that client may have."""
        token = scope.get("state", {}).get("token_name")
        if token is not None:
            return f"token {token}", self._per_client
        address = str(scope["client"][0]) if scope.get("client") else "unknown"
        return address, self._total if is_loopback(address) else self._per_client

    def _fault(self, client: str, limit: int) -> Problem | None:
        if self._open[client] >= limit:
            return Problem(
                "Too many streams",
                f"{client} has {limit} streams open, the most it may ([http] streams_per_client); "
                "close one, or follow every picture with /api/sse/gallery",
                status=HTTPStatus.TOO_MANY_REQUESTS,
            )
        if self._open.total() >= self._total:
            return Problem(
                "Too many streams",
                f"all {self._total} streams of this server are taken; try again later",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )
        return None

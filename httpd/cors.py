"""Pages of other sites that may read the answers: those that the settings list, and no other.

They show their token themselves; the session's cookie is never sent across sites.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from httpd.refusals import problem_response
from spool.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PREFLIGHT_SECONDS = 600
_METHODS = "GET, HEAD, POST, DELETE"
_SENT = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
_READ = "Content-Range, ETag, Link, Location, Retry-After, WWW-Authenticate"


class Cors:
    """Middleware that answers the preflights of listed origins, and lets them read."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "").lower()
        is_preflight = "access-control-request-method" in headers and scope["method"] == "OPTIONS"
        if is_preflight:
            await self._preflight(origin)(scope, receive, send)
        elif origin in self._origins:
            await self._app(scope, receive, _readable(send, origin))
        else:
            await self._app(scope, receive, send)

    def _preflight(self, origin: str) -> Response:
        if origin not in self._origins:
            detail = f"pages of {origin[:100]!r} may not ask here; [http] origins lists who may"
            problem = Problem("Foreign Origin", detail, status=HTTPStatus.FORBIDDEN)
            return problem_response(problem, {"Vary": "Origin"})
        return Response(
            status_code=HTTPStatus.NO_CONTENT,
            headers={
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _SENT,
                "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
                "Vary": "Origin",
            },
        )


def _readable(send: Send, origin: str) -> Send:
    async def send_readable(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _READ
            headers.add_vary_header("Origin")
        await send(message)

    return send_readable

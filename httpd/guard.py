"""Who may ask: names that mean this machine, and pages that this server sent.

A page of another site can make its visitor's browser call a server on loopback. With a name
that it has pointed at 127.0.0.1 it could read the answers too (DNS rebinding): the Host header
gives that away. A form or script that posts across sites is given away by its Origin.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from httpd.refusals import problem_response
from spool.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Middleware that refuses foreign Host headers, and foreign origins of changing requests."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            problem = self._fault(scope["method"], Headers(scope=scope))
            if problem is not None:
                await problem_response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _fault(self, method: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        name = host_name(host)
        if name is None:
            detail = f"the Host header {host[:100]!r} is missing or not valid"
            return Problem("Bad Host", detail, status=HTTPStatus.BAD_REQUEST)
        if not (is_loopback(name) or name in self._hosts):
            detail = f"this server does not answer to the name {name[:99]!r}; use 127.0.0.1"
            return Problem("Foreign Host", detail, status=HTTPStatus.MISDIRECTED_REQUEST)
        origin = headers.get("origin")
        if method not in _HARMLESS and origin is not None and not _is_same(origin, host):
            detail = f"the Origin {origin[:100]!r} is not this server ({host[:100]})"
            return Problem("Foreign Origin", detail, status=HTTPStatus.FORBIDDEN)
        return None


def host_name(host: str) -> str | None:
    """The name in a Host header, in lower case and without port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != host or parts.username is not None:
        return None
    return parts.hostname or None


def is_loopback(name: str) -> bool:
    """Whether `name` means this machine whatever a name server says."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_same(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()

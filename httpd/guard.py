"""Who may ask: names that mean this server, and pages that it sent.

A page of another site can make its visitor's browser call a server that only the visitor
reaches. With a name that it has pointed here it could read the answers too (DNS rebinding): the
Host header gives that away. A form or script that works across sites is given away by its Origin
and by Sec-Fetch-Site, which no page can forge.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from httpd.refusals import problem_response
from spool.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_HEAD_BYTES = 16 * 1024
"""How long a request's head may be, all its headers together."""

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = frozenset({"same-origin", "none"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Guard:
    """Middleware that refuses foreign Host headers and what pages of other sites may not do.

    `hosts` are names besides loopback's that mean this server; an address means it if the
    request came in there. `origins` are other sites whose pages may ask all the same.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            problem = _bad_framing(scope, headers)
            if problem is not None:
                # What follows on this connection may be another's request.
                response = problem_response(problem, {"Connection": "close"})
                await response(scope, receive, send)
                return
            problem = self._bad_host(scope, headers) or self._bad_site(scope, headers)
            if problem is not None:
                await problem_response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _bad_host(self, scope: Scope, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        name = host_name(host)
        if name is None:
            detail = f"the Host header {host[:100]!r} is missing or not valid"
            return Problem("Bad Host", detail, status=HTTPStatus.BAD_REQUEST)
        if is_loopback(name) or name in self._hosts or _is_local_address(name, scope):
            return None
        detail = (
            f"this server does not answer to the name {name[:99]!r}; "
            "use 127.0.0.1, or list the name in [http] hosts"
        )
        return Problem("Foreign Host", detail, status=HTTPStatus.MISDIRECTED_REQUEST)

    def _bad_site(self, scope: Scope, headers: Headers) -> Problem | None:
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self._origins:
            return None
        if scope["method"] in _HARMLESS:
            return _bad_embedding(headers)
        host = headers["host"]
        if origin is not None and not _is_same(origin, host, scope):
            detail = (
                f"the Origin {origin[:100]!r} is not this server ({host[:100]}); "
                "a proxy must pass the Host header on"
            )
            return Problem("Foreign Origin", detail, status=HTTPStatus.FORBIDDEN)
        site = headers.get("sec-fetch-site", "none")
        if site not in _OURS:
            detail = f"the request comes from a page of another site (Sec-Fetch-Site: {site[:40]})"
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
    address = _address(name)
    return address is not None and address.is_loopback


def _is_local_address(name: str, scope: Scope) -> bool:
    """Whether `name` is the address that the request came in at; no name server gives one."""
    address = _address(name)
    server = scope.get("server")
    return address is not None and server is not None and address == _address(str(server[0]))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _bad_framing(scope: Scope, headers: Headers) -> Problem | None:
    """Heads of no bound, and requests that two servers might cut apart at different places."""
    if not scope["path"].startswith("/"):
        detail = "the request's target must be a path, such as /api/info"
        return Problem("Bad target", detail, status=HTTPStatus.BAD_REQUEST)
    if _head_bytes(scope) > MAX_HEAD_BYTES:
        # The parser bounds only what comes in several pieces.
        detail = f"the head of the request has more than {MAX_HEAD_BYTES} bytes; send less"
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return Problem("Too large", detail, status=status)
    if "transfer-encoding" not in headers:
        return None
    if "content-length" in headers or scope.get("http_version") == "1.0":
        detail = "the request has a Transfer-Encoding where it may not; send a Content-Length alone"
        return Problem("Bad framing", detail, status=HTTPStatus.BAD_REQUEST)
    return None


def _head_bytes(scope: Scope) -> int:
    target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    return target + sum(len(name) + len(value) for name, value in scope["headers"])


def _bad_embedding(headers: Headers) -> Problem | None:
    """What a page of another site embeds or fetches; a link that is followed is fine."""
    site = headers.get("sec-fetch-site", "none")
    is_visit = (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )
    if site in _OURS or is_visit:
        return None
    detail = f"a page of another site may not use this (Sec-Fetch-Site: {site[:40]})"
    return Problem("Foreign page", detail, status=HTTPStatus.FORBIDDEN)


def _is_same(origin: str, host: str, scope: Scope) -> bool:
    """Whether `origin` is that of the pages of `host`."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in _DEFAULT_PORTS:
        return False
    # We see https only where a trusted proxy says so; without one both schemes are the same.
    if scope.get("scheme") == "https" and parts.scheme != "https":
        return False
    default = _DEFAULT_PORTS[parts.scheme]
    return parts.netloc.lower().removesuffix(default) == host.lower().removesuffix(default)

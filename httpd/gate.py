"""Where tokens are configured, only who shows one is let in."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from httpd.refusals import problem_response
from httpd.tokens import Tokens
from spool.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

COOKIE = "genzo_session"

# What holds nothing of the spool, and what is needed to come in.
_OPEN = frozenset({"/", "/docs", "/healthz", "/readyz", "/api/session"})
_OPEN_FOLDERS = ("/static/", "/docs/")
_MAX_SESSIONS = 8
_SAY_SECONDS = 60.0


class Gate:
    """Middleware that asks for a token, and tells the handlers its name.

    Without tokens everyone comes in.
    """

    def __init__(self, app: ASGIApp, *, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens
        self._refused = 0
        self._said = -_SAY_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._tokens:
            headers = Headers(scope=scope)
            token, sessions = bearer_token(headers), _sessions(headers)
            name = self._name_of(token, sessions)
            if name is None and not is_open(scope["path"]):
                shown = token is not None or bool(sessions)
                if shown:
                    self._tell(scope)
                await refusal(shown=shown)(scope, receive, send)
                return
            scope.setdefault("state", {})["token_name"] = name
        await self._app(scope, receive, send)

    def _name_of(self, token: str | None, sessions: list[str]) -> str | None:
        """The name of the token that is shown; a Bearer token counts, else the cookie."""
        if token is not None:
            return self._tokens.name_of(token)
        return next(filter(None, map(self._tokens.name_of_session, sessions)), None)

    def _tell(self, scope: Scope) -> None:
        """Log a wrong token, at most once a minute: a stranger must not fill the log."""
        self._refused += 1
        now = time.monotonic()
        if now - self._said >= _SAY_SECONDS:
            address = scope["client"][0] if scope.get("client") else "someone"
            log.warning("%s showed no valid token (%d refused so far)", address, self._refused)
            self._said = now


def refusal(*, shown: bool) -> Response:
    """The answer to who is not let in; `shown` if a token or session was, that is not valid."""
    what = "this token or session is not valid here" if shown else "this server asks for a token"
    problem = Problem(
        "Not let in",
        f"{what}; send Authorization: Bearer TOKEN, or POST the token to /api/session",
        status=HTTPStatus.UNAUTHORIZED,
    )
    challenge = 'Bearer realm="genzo"' + (', error="invalid_token"' if shown else "")
    return problem_response(problem, {"WWW-Authenticate": challenge})


def token_name(request: Request) -> str | None:
    """The name of the token that the request came in with; None if it showed none."""
    name: str | None = getattr(request.state, "token_name", None)
    return name


def is_open(path: str) -> bool:
    """Whether `path` is served without a token."""
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


def bearer_token(headers: Headers) -> str | None:
    """The token of an Authorization header; None if there is none of that scheme."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _sessions(headers: Headers) -> list[str]:
    """The sessions in the cookies; another server of the same host may have set one too."""
    cookies = (part.strip() for line in headers.getlist("cookie") for part in line.split(";"))
    pairs = (cookie.partition("=") for cookie in cookies)
    return [value for name, _, value in pairs if name == COOKIE][:_MAX_SESSIONS]

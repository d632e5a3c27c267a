"""POST and DELETE /api/session: a token is changed for a cookie, and the cookie given back.

A page needs it, since an EventSource sends no headers.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

from httpd.bodies import SessionRequest
from httpd.context import context_of
from httpd.gate import COOKIE, refusal
from httpd.tokens import SESSION_SECONDS
from spool.problems import FieldError, Problem

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger(__name__)


async def open_session(request: Request) -> Response:
    """Set the cookie that stands for a token; without tokens there is nothing to set."""
    context = context_of(request)
    token = _token_of(await context.uploads.read_json(request))
    tokens = context.tokens
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    if tokens:
        name = tokens.name_of(token)
        if name is None:
            return refusal(shown=True)
        log.info("%s opened a session", name)
        _set_cookie(request, response, tokens.open_session(name), SESSION_SECONDS)
    return response


async def close_session(request: Request) -> Response:
    """Take the cookie back."""
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    _set_cookie(request, response, "", 0)
    return response


def _token_of(document: object) -> str:
    if isinstance(document, dict) and document.keys() <= SessionRequest.model_fields.keys():
        token = document.get("token")
        if isinstance(token, str):
            return token
    detail = 'token: the body must be {"token": "…"} and nothing else'
    raise Problem("The request is not valid", detail, errors=(FieldError(detail, "/token"),))


def _set_cookie(request: Request, response: Response, value: str, seconds: int) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=seconds,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )

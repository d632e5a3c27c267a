"""Every error as problem JSON (RFC 9457), whoever raised it."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from httpd.headers import SAFE
from spool.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from httpd.context import Context

log = logging.getLogger(__name__)

RETRY_SECONDS = 30
"""When to ask again where there was too much to do."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a refused request."""
    # SAFE stands here too, for answers that no middleware sees.
    given = {**SAFE, **retry_after(problem.status), **(headers or {})}
    return Response(encode_problem(problem), problem.status, given, MEDIA_TYPE)


def encode_problem(problem: Problem) -> bytes:
    """`problem` as problem JSON."""
    return json.dumps(problem.as_json(), ensure_ascii=False).encode()


def retry_after(status: int) -> dict[str, str]:
    """The header that says when to ask again, for answers that say to."""
    is_busy = status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    return {"Retry-After": str(RETRY_SECONDS)} if is_busy else {}


def not_found(detail: str) -> Problem:
    return Problem("Not found", detail, status=HTTPStatus.NOT_FOUND)


def no_such_job(job_id: str) -> Problem:
    return not_found(f"there is no job {job_id[:80]!r}; GET /api/jobs lists the latest")


def bad_parameter(detail: str) -> Problem:
    """A fault in the query; `detail` begins with the parameter's name."""
    return Problem("The query is not valid", detail)


async def on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """The router's own errors: no such path, no such method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    status = HTTPStatus(error.status_code)
    detail = error.detail
    if status == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path[:200]}; GET /docs shows every path"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(headers.get("Allow", "").split(", ")))
        detail = (
            f"{request.url.path[:200]} does not take {request.method[:20]}; "
            f"it takes {headers['Allow']}"
        )
    return problem_response(Problem(status.phrase, detail, status=status), headers)


async def on_os_error(request: Request, error: Exception) -> Response:
    """A file system that does not take or give what it should."""
    assert isinstance(error, OSError)
    log.error("%s %r: %s", request.method, request.url.path[:200], error)
    if error.errno in _NO_SPACE:
        status, what = HTTPStatus.INSUFFICIENT_STORAGE, "the spool's disk is full"
    elif error.errno in _GONE and _is_spool_gone(request):
        status, what = HTTPStatus.SERVICE_UNAVAILABLE, "the spool is not there and is waited for"
    elif error.errno in _READ_ONLY:
        status, what = HTTPStatus.SERVICE_UNAVAILABLE, "the spool cannot be read or written"
    else:
        status, what = HTTPStatus.INTERNAL_SERVER_ERROR, "the spool's disk gave an error"
    detail = f"{what} ({error.strerror or error}); nothing was changed, try again later"
    return problem_response(Problem(status.phrase, detail, status=status))


def _is_spool_gone(request: Request) -> bool:
    context: Context = request.app.state.context
    return not context.spool.work.is_dir()


async def on_crash(request: Request, _error: Exception) -> Response:
    """A fault of ours; the server's log has the traceback."""
    detail = (
        f"{request.method[:20]} {request.url.path[:200]} met a fault of the server; "
        "its log says more"
    )
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem_response(Problem(status.phrase, detail, status=status))

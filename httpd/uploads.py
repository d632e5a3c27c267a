"""Reading a request's body: JSON of a bounded size that arrives in bounded time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from spool.problems import Problem
from spool.strict_json import MAX_BYTES, parse

if TYPE_CHECKING:
    from starlette.requests import Request

BODY_SECONDS = 30.0
"""How long a body of at most a MiB may take to arrive."""

_MEDIA_TYPES = frozenset({"", "application/json", "application/jsonc"})
_MAX_DISCARDED_BYTES = 16 * MAX_BYTES


async def read_json(request: Request) -> Any:
    """The document in the request's body. Raises Problem (400, 408, 413 or 415)."""
    _check_media_type(request)
    _check_coding(request)
    return parse(await _body_in_time(request))


async def _body_in_time(request: Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await read_body(request)
    except TimeoutError:
        raise Problem(
            "Too slow",
            f"the body did not arrive within {BODY_SECONDS:g} s; send the request again",
            status=HTTPStatus.REQUEST_TIMEOUT,
        ) from None
    except ClientDisconnect:
        raise Problem(
            "Incomplete", "the connection ended before the body did", status=HTTPStatus.BAD_REQUEST
        ) from None


async def read_body(request: Request) -> bytes:
    """The request's body of at most MAX_BYTES. Raises Problem (413) if it is larger.

    The rest of a moderately larger one is read and discarded: a client that is still sending
    would see a broken connection and not the answer.
    """
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isascii() and announced.isdigit() else 0
    pieces: list[bytes] = []
    received = 0
    if size <= _MAX_DISCARDED_BYTES and not _may_refuse_early(request, size):
        async for piece in request.stream():
            received += len(piece)
            if received <= MAX_BYTES:
                pieces.append(piece)
            elif received > _MAX_DISCARDED_BYTES:
                break
    if max(size, received) > MAX_BYTES:
        raise Problem(
            "Too large",
            f"the body has {max(size, received)} bytes, a job has at most {MAX_BYTES}",
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    return b"".join(pieces)


def _may_refuse_early(request: Request, size: int) -> bool:
    # A client that waits for "100 Continue" has not sent the body yet.
    return size > MAX_BYTES and "100-continue" in request.headers.get("expect", "").lower()


def _check_media_type(request: Request) -> None:
    """Refuse what a form of another site's page could send without asking."""
    header = request.headers.get("content-type", "")
    if header.partition(";")[0].strip().lower() not in _MEDIA_TYPES:
        raise Problem(
            "Not JSON",
            f"the Content-Type is {header[:100]!r}; send the body with "
            "Content-Type: application/json",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )


def _check_coding(request: Request) -> None:
    """Refuse compressed bodies: a MiB of one may hold a GiB."""
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() not in {"", "identity"}:
        raise Problem(
            "Compressed",
            f"the Content-Encoding is {coding[:100]!r}; send the body as it is",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )

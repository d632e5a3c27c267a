"""Reading requests' bodies: JSON of a bounded size that arrives in bounded time."""

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
MOST_BYTES = 64 << 20
"""How much of bodies may be in memory at once: thousands of clients may send slowly."""

_MEDIA_TYPES = frozenset({"", "application/json", "application/jsonc"})
_MAX_DISCARDED_BYTES = 16 * MAX_BYTES


class Uploads:
    """The bodies that are arriving; together they hold at most `most_bytes` of memory."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0

    async def read_json(self, request: Request) -> Any:
        """The document in a request's body. Raises Problem (400, 408, 413, 415 or 503)."""
        _check_media_type(request)
        _check_coding(request)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read(request)
        except TimeoutError:
            raise Problem(
                "Too slow",
                f"the body did not arrive within {BODY_SECONDS:g} s; send the request again",
                status=HTTPStatus.REQUEST_TIMEOUT,
            ) from None
        except ClientDisconnect:
            raise Problem(
                "Incomplete",
                "the connection ended before the body did",
                status=HTTPStatus.BAD_REQUEST,
            ) from None
        return parse(body)

    async def _read(self, request: Request) -> bytes:
        """The body of at most MAX_BYTES. Raises Problem (413) if it is larger.

        The rest of a moderately larger one is read and discarded: a client that is still sending
        would see a broken connection and not the answer.
        """
        announced = request.headers.get("content-length", "")
        size = int(announced) if announced.isascii() and announced.isdigit() else 0
        pieces: list[bytes] = []
        received = held = 0
        try:
            if size <= _MAX_DISCARDED_BYTES and not _may_refuse_early(request, size):
                async for piece in request.stream():
                    received += len(piece)
                    if received <= MAX_BYTES:
                        held += self._hold(len(piece))
                        pieces.append(piece)
                    elif received > _MAX_DISCARDED_BYTES:
                        break
        finally:
            self._held_bytes -= held
        if max(size, received) > MAX_BYTES:
            raise Problem(
                "Too large",
                f"the body has {max(size, received)} bytes, a job has at most {MAX_BYTES}",
                status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
        return b"".join(pieces)

    def _hold(self, size: int) -> int:
        """Count `size` bytes more. Raises Problem (503) if that is too much."""
        if self._held_bytes + size > self._most_bytes:
            raise Problem(
                "Too many bodies",
                "other requests are sending more than this server holds at once; try again soon",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )
        self._held_bytes += size
        return size


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

"""POST /api/generate: a request becomes a ticket in the queue."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from httpd.bodies import Accepted
from httpd.context import context_of, send_body
from httpd.links import job_links
from spool import acceptance
from spool.acceptance import Sender
from spool.catalogue import Catalogue
from spool.jobs import JobRequest, parse_request
from spool.layout import Spool
from spool.problems import Problem
from spool.room import require_room
from spool.settings import DiskSettings
from spool.strict_json import MAX_BYTES, parse
from spool.tickets import Ticket
from spool.views import job_view

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

_MEDIA_TYPES = frozenset({"", "application/json", "application/jsonc"})
_MAX_DISCARDED_BYTES = 16 * MAX_BYTES
BODY_SECONDS = 30.0
"""How long a body of at most a MiB may take to arrive."""
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}")


async def generate(request: Request) -> Response:
    """Accept a job; durable when the answer goes out."""
    _check_media_type(request)
    asked = parse_request(parse(await _body_in_time(request)))
    spool, floor = context_of(request).spool, context_of(request).settings.disk
    key = _idempotency_key(request)
    job_id = await run_in_threadpool(_accept, spool, asked, key, floor)
    view = await run_in_threadpool(job_view, spool, job_id)
    links = job_links(job_id)
    accepted = Accepted(
        job_id=job_id,
        status=view.status if view else "queued",
        queue_position=view.queue_position if view else None,
        **links,
    )
    return send_body(accepted, HTTPStatus.ACCEPTED, {"Location": links["status_url"]})


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
            f"the Content-Type is {header[:100]!r}; send the job with "
            "Content-Type: application/json",
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise Problem(
            "Bad Idempotency-Key",
            "Idempotency-Key: use 1 to 255 printable ASCII characters",
            status=HTTPStatus.BAD_REQUEST,
        )
    return acceptance.key_of("http", key)


def _accept(spool: Spool, asked: JobRequest, key: str | None, floor: DiskSettings) -> str:
    """Queue `asked`, or find the job that its key names already; the job's id."""
    earlier = _earlier(spool, key, asked)
    if earlier is not None:
        return earlier
    require_room(spool, floor)
    sender = Sender("http", os.getuid(), key=key)
    ticket = acceptance.draw_ticket(spool, asked, Catalogue.read(spool), sender)
    if key is None:
        acceptance.admit(spool, ticket)
    elif not acceptance.admit_keyed(spool, ticket):
        # The same request was sent twice at once, and the other one was faster.
        return _earlier(spool, key, asked) or ticket.job_id
    log.info("%s: accepted over HTTP", ticket.job_id)
    return ticket.job_id


def _earlier(spool: Spool, key: str | None, asked: JobRequest) -> str | None:
    """The job that was accepted under `key`. Raises Problem (422) if it was another request."""
    if key is None or not acceptance.is_known(spool, key):
        return None
    try:
        ticket = Ticket.decode(acceptance.key_path(spool, key).read_bytes())
    except FileNotFoundError:  # house-keeping has just removed it
        return None
    if ticket.digest != acceptance.digest(asked):
        raise Problem(
            "Idempotency-Key used before",
            f"Idempotency-Key: it belongs to job {ticket.job_id}, whose request differs; "
            "use a new key",
        )
    return ticket.job_id

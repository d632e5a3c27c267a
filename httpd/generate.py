"""POST /api/generate: a request becomes a ticket in the queue."""

from __future__ import annotations

import logging
import os
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from httpd import idempotency
from httpd.bodies import Accepted
from httpd.context import context_of, send_body
from httpd.gate import token_name
from httpd.links import job_links
from spool import acceptance
from spool.acceptance import Sender
from spool.catalogue import Catalogue
from spool.jobs import JobRequest, parse_request
from spool.layout import Spool
from spool.problems import Problem
from spool.room import require_room
from spool.settings import Settings
from spool.views import job_view

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)


async def generate(request: Request) -> Response:
    """Accept a job; durable when the answer goes out."""
    context = context_of(request)
    spool, settings = context.spool, context.settings
    asked = parse_request(await context.uploads.read_json(request))
    client = token_name(request)
    key = idempotency.key_of(request)
    job_id = await run_in_threadpool(_accept, spool, asked, key, settings, client)
    view = await run_in_threadpool(job_view, spool, job_id)
    view = await run_in_threadpool(context.outlook.seen, view) if view else None
    links = job_links(job_id)
    accepted = Accepted(
        job_id=job_id,
        status=view.status if view else "queued",
        queue_position=view.queue_position if view else None,
        eta_seconds=view.eta_seconds if view else None,
        **links,
    )
    return send_body(accepted, HTTPStatus.ACCEPTED, {"Location": links["status_url"]})


def _accept(
    spool: Spool, asked: JobRequest, key: str | None, settings: Settings, client: str | None
) -> str:
    """Queue `asked`, or find the job that its key names already; the job's id."""
    earlier = idempotency.earlier_job(spool, key, asked) if key else None
    if earlier is not None:
        return earlier
    _require_place(spool, settings.http.queue_limit)
    require_room(spool, settings.disk)
    sender = Sender("http", os.getuid(), key=key)
    ticket = acceptance.draw_ticket(spool, asked, Catalogue.read(spool), sender)
    if key is None:
        acceptance.admit(spool, ticket)
    elif not acceptance.admit_keyed(spool, ticket):
        # The same request was sent twice at once, and the other one was faster.
        return idempotency.earlier_job(spool, key, asked) or ticket.job_id
    log.info("%s: accepted over HTTP%s", ticket.job_id, f" from {client}" if client else "")
    return ticket.job_id


def _require_place(spool: Spool, limit: int) -> None:
    """Raise Problem (429) if `limit` jobs wait; requests at the same instant may pass together."""
    with os.scandir(spool.queued) as waiting:
        count = sum(1 for _ in waiting)
    if count >= limit:
        raise Problem(
            "Queue full",
            f"{count} jobs wait, and HTTP takes no more above {limit} ([http] queue_limit); "
            "try again later, or drop the job as a file",
            status=HTTPStatus.TOO_MANY_REQUESTS,
        )

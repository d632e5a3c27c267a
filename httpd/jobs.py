"""GET and DELETE /api/jobs/{job_id}, and the list of jobs."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from httpd.bodies import JobBody, JobList
from httpd.context import Context, context_of, send_body
from httpd.links import image_links, job_links
from httpd.query import choice, matching, whole_number
from httpd.refusals import no_such_job
from spool import listing
from spool.control import Verb, command
from spool.listing import BOOKMARK_PATTERN, Bookmark
from spool.problems import Problem
from spool.states import Status
from spool.views import JobView, job_view

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

MAX_LIMIT = 100


async def get_job(request: Request) -> Response:
    """The state of one job."""
    job_id = request.path_params["job_id"]
    context = context_of(request)
    view = await run_in_threadpool(job_view, context.spool, job_id)
    if view is None:
        raise no_such_job(job_id)
    return send_body(job_body(await run_in_threadpool(context.outlook.seen, view)))


async def cancel_job(request: Request) -> Response:
    """Cancel a job: at once if it waits, at its next step if it runs."""
    job_id = request.path_params["job_id"]
    spool = context_of(request).spool
    view = await run_in_threadpool(job_view, spool, job_id)
    if view is not None and not view.status.is_final:
        status = (await run_in_threadpool(command, spool, Verb.CANCEL, job_id)).status
        view = await run_in_threadpool(job_view, spool, job_id)
        if view is not None and status is Status.PROCESSING:
            log.info("%s: asked to stop", job_id)
            return send_body(job_body(view), HTTPStatus.ACCEPTED)
        if view is not None and status is Status.CANCELLED:
            log.info("%s: cancelled", job_id)
            return send_body(job_body(view))
    if view is None:
        raise no_such_job(job_id)
    raise Problem(
        "Already finished",
        f"job {job_id} is {view.status} and cannot be cancelled",
        status=HTTPStatus.CONFLICT,
    )


async def list_jobs(request: Request) -> Response:
    """The jobs that run, wait or are on hold, then the finished ones, the newest first."""
    limit = whole_number(request, "limit", default=50, least=1, most=MAX_LIMIT)
    status = choice(request, "status", [status.value for status in Status])
    context = context_of(request)
    wanted = Status(status) if status else None
    page = await run_in_threadpool(_page, context, limit, wanted, _bookmark(request))
    return send_body(page)


def _page(context: Context, limit: int, status: Status | None, behind: Bookmark | None) -> JobList:
    page = listing.list_jobs(context.spool, limit, status, behind)
    return JobList(
        jobs=[job_body(context.outlook.seen(view)) for view in page.jobs],
        next_cursor=page.next.encode() if page.next else None,
    )


def _bookmark(request: Request) -> Bookmark | None:
    word = matching(request, "cursor", BOOKMARK_PATTERN, "the next_cursor of an earlier answer")
    return None if word is None else Bookmark.decode(word)


def job_body(view: JobView) -> JobBody:
    """A job's view with the addresses that belong to it."""
    body = {**view.as_json(), **job_links(view.job_id)}
    body["images"] = [{**image, **image_links(image["filename"])} for image in view.images]
    return JobBody.model_validate(body)

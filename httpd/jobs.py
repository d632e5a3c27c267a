"""GET and DELETE /api/jobs/{job_id}, and the list of jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from httpd.bodies import JobBody, JobList
from httpd.context import context_of, send_body
from httpd.links import image_links, job_links
from httpd.query import choice, whole_number
from httpd.refusals import no_such_job
from spool.control import Verb, command
from spool.layout import Spool
from spool.problems import Problem
from spool.records import newest_first
from spool.states import Status
from spool.views import JobView, job_view, unfinished_jobs

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

MAX_LIMIT = 100
MAX_RECORDS = 1000
"""How many records a search for one status reads before it gives up."""


async def get_job(request: Request) -> Response:
    """The state of one job."""
    job_id = request.path_params["job_id"]
    view = await run_in_threadpool(job_view, context_of(request).spool, job_id)
    if view is None:
        raise no_such_job(job_id)
    return send_body(job_body(view))


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
    views = await run_in_threadpool(_listed, context_of(request).spool, status, limit)
    return send_body(JobList(jobs=[job_body(view) for view in views]))


def job_body(view: JobView) -> JobBody:
    """A job's view with the addresses that belong to it."""
    body = {**view.as_json(), **job_links(view.job_id)}
    body["images"] = [{**image, **image_links(image["filename"])} for image in view.images]
    return JobBody.model_validate(body)


def _listed(spool: Spool, status: str | None, limit: int) -> list[JobView]:
    views = (view for view in _all_views(spool, status) if status in {None, view.status.value})
    return list(islice(views, limit))


def _all_views(spool: Spool, status: str | None) -> Iterator[JobView]:
    is_final = status is not None and Status(status).is_final
    if not is_final:
        yield from unfinished_jobs(spool)
    if is_final or status is None:
        for job_id in islice(newest_first(spool), MAX_RECORDS):
            view = job_view(spool, job_id)
            if view is not None and view.status.is_final:
                yield view

"""Every route of the server: what is served and what is specified come from this table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from httpd import examples, generate, images, jobs, metrics, pages, session, sse, status
from httpd.bodies import (
    Accepted,
    Health,
    Info,
    JobBody,
    JobList,
    Picture,
    PictureList,
    ProgressEvent,
    SessionRequest,
)
from httpd.context import context_of
from httpd.endpoints import Answer, Endpoint, Parameter, routes_of
from httpd.keys import CURSOR_PATTERN
from httpd.openapi import EVENT_STREAM, request_schema, specification
from spool.catalogue import Catalogue
from spool.jobs import JobRequest
from spool.listing import BOOKMARK_PATTERN
from spool.states import Status
from spool.version import VERSION

if TYPE_CHECKING:
    from starlette.requests import Request

_JOBS, _GALLERY, _SERVER = "Jobs", "Gallery", "Server"

_BAD_QUERY = {422: "A parameter of the query is not valid"}
_NO_JOB = {404: "There is no such job"}
_NO_PICTURE = {404: "There is no such picture"}
_BUSY = {429: "This client has too many streams open", 503: "All streams are taken"}
_FOREIGN = {403: "The request comes from a page of another site"}
_LIMIT = Parameter(
    "limit",
    "How many at most",
    {"type": "integer", "minimum": 1, "maximum": images.MAX_LIMIT, "default": 50},
)
_INSTANT = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]
}
_LAST_EVENT_ID = Parameter(
    "Last-Event-ID",
    "Id of the last event seen; the stream goes on right behind it. 0:0 is before a job's first",
    {"type": "string"},
    "header",
)
_COOKIE = {"Set-Cookie": "genzo_session"}
_FILE_HEADERS = {
    "ETag": "Strong validator",
    "Cache-Control": "Immutable: a name is never reused",
    "Accept-Ranges": "bytes",
}
_FILE_ERRORS = {**_NO_PICTURE, 416: "The range lies outside the file"}


def _file_answers(media_type: str) -> dict[int, Answer]:
    return {
        200: Answer("The file", media_type=media_type, headers=_FILE_HEADERS),
        206: Answer("The range that was asked for", media_type=media_type),
        304: Answer("The file is the one of If-None-Match"),
    }


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/generate",
        generate.generate,
        "Submit a job",
        _JOBS,
        {
            202: Answer(
                "The job is queued; it survives a power cut from here on",
                Accepted,
                headers={"Location": "The job's status_url"},
            )
        },
        {
            400: "The body is not valid JSON, or a header is not valid",
            **_FOREIGN,
            408: "The body did not arrive in time",
            409: "The job of this Idempotency-Key is over, and its record was cleaned away",
            413: "The body is larger than 1 MiB",
            415: "The Content-Type is not application/json, or the body is compressed",
            422: "A field is not valid; `errors` names each",
            429: "Too many jobs wait; Retry-After says when to ask again",
            503: "Other requests are sending too much at once",
            507: "The disk is full",
        },
        # No parameter: that a key belongs to one request is more than a schema can say.
        description="With the header `Idempotency-Key` (1 to 255 printable ASCII characters) the "
        "same request sent again returns the same job; another request with that key is refused "
        "with 422.",
        takes=JobRequest,
        examples=examples.REQUESTS,
    ),
    Endpoint(
        "GET",
        "/api/jobs",
        jobs.list_jobs,
        "List jobs: unfinished ones, then the finished, the newest first",
        _JOBS,
        {200: Answer("One page", JobList)},
        _BAD_QUERY,
        (
            Parameter(
                "status", "Only jobs of this status", {"type": "string", "enum": list(Status)}
            ),
            _LIMIT,
            Parameter(
                "cursor",
                "The next_cursor of the page before; jobs that come and finish shift nothing",
                {"type": "string", "pattern": BOOKMARK_PATTERN},
            ),
        ),
    ),
    Endpoint(
        "GET",
        "/api/jobs/{job_id}",
        jobs.get_job,
        "Get the state of a job",
        _JOBS,
        {200: Answer("The job", JobBody)},
        _NO_JOB,
    ),
    Endpoint(
        "DELETE",
        "/api/jobs/{job_id}",
        jobs.cancel_job,
        "Cancel a job",
        _JOBS,
        {
            200: Answer("The job was waiting and is cancelled", JobBody),
            202: Answer("The job is being rendered and stops at its next step", JobBody),
        },
        {**_FOREIGN, **_NO_JOB, 409: "The job is finished already"},
    ),
    Endpoint(
        "GET",
        "/api/sse/gallery",
        sse.stream_gallery,
        "Listen to new pictures",
        _GALLERY,
        {200: Answer("One event for each new picture", Picture, EVENT_STREAM)},
        _BUSY,
        (_LAST_EVENT_ID,),
    ),
    Endpoint(
        "GET",
        "/api/sse/{job_id}",
        sse.stream_job,
        "Listen to the progress of a job",
        _JOBS,
        {
            200: Answer("Events, from the present state to the end", ProgressEvent, EVENT_STREAM),
            204: Answer("The job is finished and its last event was seen"),
        },
        {**_NO_JOB, **_BUSY},
        (_LAST_EVENT_ID,),
    ),
    Endpoint(
        "GET",
        "/api/images",
        images.list_images,
        "List pictures, the newest first",
        _GALLERY,
        {200: Answer("One page", PictureList, headers={"Link": 'The next page, rel="next"'})},
        _BAD_QUERY,
        (
            _LIMIT,
            Parameter(
                "offset",
                "How many to pass over",
                {"type": "integer", "minimum": 0, "maximum": images.MAX_OFFSET, "default": 0},
            ),
            Parameter(
                "cursor",
                "The next_cursor of a page: what comes behind that page",
                {"type": "string", "pattern": CURSOR_PATTERN},
            ),
            Parameter(
                "q",
                "Words, or beginnings of words, that the prompt has, all of them; of scripts "
                "without spaces any characters",
                {"type": "string", "maxLength": images.MAX_QUERY_CHARS},
            ),
            Parameter(
                "model",
                "Only pictures of this model",
                {"type": "string", "maxLength": images.MAX_MODEL_CHARS},
            ),
            Parameter("since", "Only jobs of this day or instant, or later", _INSTANT),
            Parameter(
                "until", "Only jobs of this day or earlier, or before this instant", _INSTANT
            ),
        ),
    ),
    Endpoint(
        "GET",
        "/api/images/{filename}",
        images.get_image,
        "Get a picture in full size",
        _GALLERY,
        _file_answers("image/*"),
        _FILE_ERRORS,
    ),
    Endpoint(
        "DELETE",
        "/api/images/{filename}",
        images.delete_image,
        "Remove a picture and its thumbnail; the job's record stays",
        _GALLERY,
        {204: Answer("The picture is gone")},
        {**_FOREIGN, **_NO_PICTURE, 409: "Its job is not finished"},
    ),
    Endpoint(
        "GET",
        "/api/thumbs/{filename}",
        images.get_thumbnail,
        "Get a picture's thumbnail",
        _GALLERY,
        _file_answers("image/webp"),
        _FILE_ERRORS,
    ),
    Endpoint(
        "GET",
        "/api/info",
        status.get_info,
        "Get models, parameters, LoRAs, queue and slots",
        _SERVER,
        {200: Answer("The server's state", Info)},
    ),
    Endpoint(
        "POST",
        "/api/session",
        session.open_session,
        "Change a token for a cookie, which the page needs for its streams",
        _SERVER,
        {204: Answer("Let in; without tokens there is no cookie to set", headers=_COOKIE)},
        {
            400: "The body is not valid JSON",
            401: "It is no token of this server's",
            **_FOREIGN,
            408: "The body did not arrive in time",
            413: "The body is larger than 1 MiB",
            415: "The Content-Type is not application/json, or the body is compressed",
            422: "The body is no token",
        },
        takes=SessionRequest,
    ),
    Endpoint(
        "DELETE",
        "/api/session",
        session.close_session,
        "Give the cookie back",
        _SERVER,
        {204: Answer("The cookie is gone", headers=_COOKIE)},
        _FOREIGN,
    ),
    Endpoint(
        "GET",
        "/healthz",
        status.get_health,
        "Ask whether the server is alive",
        _SERVER,
        {200: Answer("It is", Health)},
    ),
    Endpoint(
        "GET",
        "/metrics",
        metrics.get_metrics,
        "Get numbers for Prometheus",
        _SERVER,
        {
            200: Answer(
                "The text format 0.0.4, or OpenMetrics where the Accept header names it",
                media_type="text/plain",
            )
        },
    ),
    Endpoint(
        "GET",
        "/readyz",
        status.get_readiness,
        "Ask whether jobs are rendered now",
        _SERVER,
        {200: Answer("They are", Health)},
        {503: "No slot is alive, or the spool cannot be written"},
    ),
)


async def openapi(request: Request) -> Response:
    """The specification, with the parameters of the default model that is served now."""
    context = context_of(request)
    catalogue = await run_in_threadpool(Catalogue.read, context.spool)
    schema = request_schema(catalogue)
    closed = bool(context.tokens)
    return JSONResponse(specification(ENDPOINTS, VERSION, schema, closed=closed))


def routes() -> list[Route]:
    """The table's routes, and the pages for people."""
    return [
        *routes_of(ENDPOINTS),
        Route("/openapi.json", openapi),
        Route("/docs", pages.docs),
        Route("/docs/{name}", pages.docs_asset),
        Route("/", pages.index),
        Route("/static/{name}", pages.asset),
    ]

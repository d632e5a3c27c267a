"""GET /api/images, GET and DELETE of /api/images/{filename}, and GET /api/thumbs/{filename}."""

from __future__ import annotations

import logging
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from httpd.album import Page
from httpd.bodies import Picture, PictureList
from httpd.context import Context, context_of, send_body
from httpd.files import send_file
from httpd.finding import Wanted
from httpd.keys import (
    CURSOR_PATTERN,
    FIRST_RANK,
    LAST_RANK,
    Key,
    decode_cursor,
    encode_cursor,
    rank_at,
)
from httpd.query import instant, matching, text, whole_number
from httpd.refusals import not_found
from httpd.terms import query_terms
from spool.gallery import PictureName, remove_picture
from spool.layout import Spool
from spool.picture_files import PictureFormat
from spool.problems import Problem
from spool.states import find

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger(__name__)

MAX_LIMIT = 100
MAX_OFFSET = 10**12
MAX_QUERY_CHARS = 1000
MAX_MODEL_CHARS = 200

_FILTERS = ("q", "model", "since", "until")


async def list_images(request: Request) -> Response:
    """One page of the gallery."""
    limit = whole_number(request, "limit", default=50, least=1, most=MAX_LIMIT)
    offset = whole_number(request, "offset", default=0, least=0, most=MAX_OFFSET)
    wanted, after = _wanted(request), _cursor(request)
    context = context_of(request)

    def read() -> tuple[Page, list[Picture]]:
        page = context.album.page(limit, offset, wanted=wanted, after=after)
        return page, _described(context, page)

    page, images = await run_in_threadpool(read)
    cursor = encode_cursor(page.last) if page.last else None
    following = _address(request, limit, offset, cursor) if cursor else None
    body = PictureList(
        images=images,
        total=page.total,
        limit=limit,
        offset=offset,
        next=following,
        next_cursor=cursor,
    )
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return send_body(body, headers=headers)


def _described(context: Context, page: Page) -> list[Picture]:
    return [context.pictures.picture(name, source) for name, source in page.pictures]


def _wanted(request: Request) -> Wanted:
    """Which pictures the query asks for. Raises Problem (422) naming a bad parameter."""
    since = instant(request, "since")
    until = instant(request, "until", end_of_day=True)
    searched = text(request, "q", most=MAX_QUERY_CHARS)
    return Wanted(
        first=FIRST_RANK if since is None else rank_at(since),
        end=LAST_RANK if until is None else rank_at(until),
        model=text(request, "model", most=MAX_MODEL_CHARS),
        terms=tuple(query_terms(searched)) if searched and not searched.isspace() else None,
    )


def _cursor(request: Request) -> Key | None:
    value = matching(request, "cursor", CURSOR_PATTERN, "the next_cursor of a page")
    return None if value is None else decode_cursor(value)


def _address(request: Request, limit: int, offset: int, cursor: str) -> str:
    """The address of the next page: by offset, or by cursor for who came by one."""
    kept = {name: request.query_params[name] for name in _FILTERS if name in request.query_params}
    place = {"cursor": cursor} if "cursor" in request.query_params else {"offset": offset + limit}
    return "/api/images?" + urlencode({**kept, "limit": limit, **place})


async def get_image(request: Request) -> Response:
    """A picture in full size."""
    name = _name(request)
    path = name.picture(context_of(request).spool)
    return await _send(request, path, name.format.media_type)


async def get_thumbnail(request: Request) -> Response:
    """The thumbnail of a picture, under the picture's own name."""
    path = _name(request).thumbnail(context_of(request).spool)
    return await _send(request, path, PictureFormat.WEBP.media_type)


async def delete_image(request: Request) -> Response:
    """Remove a picture and its thumbnail; its job's record stays."""
    name = _name(request)
    context = context_of(request)
    removed = await run_in_threadpool(_remove, context.spool, name)
    context.album.note([name])
    if not removed:
        raise _no_picture(request)
    log.info("%s: removed", name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _remove(spool: Spool, name: PictureName) -> bool:
    """Raises Problem (409) if the job has a ticket: its slot would render the picture again."""
    # Twice, since a ticket may move from a directory not yet read to one already read.
    if find(spool, name.job_id) or find(spool, name.job_id):
        raise Problem(
            "Not finished",
            f"{name} is of a job that is not finished; wait for its end, or cancel it, first",
            status=HTTPStatus.CONFLICT,
        )
    return remove_picture(spool, name)


def _name(request: Request) -> PictureName:
    name = PictureName.parse(request.path_params["filename"])
    if name is None:
        raise _no_picture(request)
    return name


async def _send(request: Request, path: Path, media_type: str) -> Response:
    response = await send_file(request, path, media_type)
    if response is None:
        context_of(request).album.note([_name(request)])
        raise _no_picture(request)
    return response


def _no_picture(request: Request) -> Problem:
    filename = request.path_params["filename"]
    return not_found(f"there is no picture {filename[:80]!r}; GET /api/images lists them")

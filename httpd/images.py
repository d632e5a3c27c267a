"""GET /api/images, /api/images/{filename} and /api/thumbs/{filename}."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool

from httpd.bodies import Picture, PictureList
from httpd.context import Context, context_of, send_body
from httpd.files import send_file
from httpd.query import whole_number
from httpd.refusals import not_found
from spool.gallery import PictureName
from spool.picture_files import PictureFormat
from spool.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MAX_LIMIT = 100


async def list_images(request: Request) -> Response:
    """One page of the gallery."""
    limit = whole_number(request, "limit", default=50, least=1, most=MAX_LIMIT)
    offset = whole_number(request, "offset", default=0, least=0)
    context = context_of(request)
    images, total = await run_in_threadpool(page_of, context, limit, offset)
    following = None
    if offset + limit < total:
        following = "/api/images?" + urlencode({"limit": limit, "offset": offset + limit})
    body = PictureList(images=images, total=total, limit=limit, offset=offset, next=following)
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return send_body(body, headers=headers)


def page_of(context: Context, limit: int, offset: int) -> tuple[list[Picture], int]:
    """`limit` pictures behind the newest `offset`, and how many there are in all."""
    names, total = context.album.page(limit, offset)
    return [context.pictures.picture(name) for name in names], total


async def get_image(request: Request) -> Response:
    """A picture in full size."""
    name = _name(request)
    path = name.picture(context_of(request).spool)
    return await _send(request, path, name.format.media_type)


async def get_thumbnail(request: Request) -> Response:
    """The thumbnail of a picture, under the picture's own name."""
    path = _name(request).thumbnail(context_of(request).spool)
    return await _send(request, path, PictureFormat.WEBP.media_type)


def _name(request: Request) -> PictureName:
    name = PictureName.parse(request.path_params["filename"])
    if name is None:
        raise _no_picture(request)
    return name


async def _send(request: Request, path: Path, media_type: str) -> Response:
    response = await send_file(request, path, media_type)
    if response is None:
        raise _no_picture(request)
    return response


def _no_picture(request: Request) -> Problem:
    filename = request.path_params["filename"]
    return not_found(f"there is no picture {filename[:80]!r}; GET /api/images lists them")

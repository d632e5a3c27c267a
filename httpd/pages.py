"""The pages for people: `/`, where pictures are made and looked at, and `/docs`, the reference.

Both are whole without a network: nothing on them comes from another machine, and their policies
forbid the browser to fetch it. They hold nothing of the spool; what they show they ask for.
"""

from __future__ import annotations

import hashlib
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from httpd.refusals import not_found

if TYPE_CHECKING:
    from starlette.requests import Request

STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_DOCS_FILES = ("swagger/swagger-ui-bundle.js", "swagger/swagger-ui.css", "docs.js", "docs.css")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_DOCS = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>genzo: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/docs.css">
</head>
<body>
<div id="reference"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/docs.js"></script>
</body>
</html>
"""


async def index(request: Request) -> Response:
    """The page at `/`: form, queue, gallery and viewer."""
    return _page(request, (STATIC / "page/index.html").read_bytes())


async def docs(request: Request) -> Response:
    """Swagger UI."""
    return _page(request, _DOCS)


async def docs_asset(request: Request) -> Response:
    """A file of the reference page."""
    return _asset(request, _docs_files())


async def asset(request: Request) -> Response:
    """A file of the page at `/`."""
    return _asset(request, _page_files())


@cache
def _docs_files() -> dict[str, Path]:
    return {Path(path).name: STATIC / path for path in _DOCS_FILES}


@cache
def _page_files() -> dict[str, Path]:
    return {path.name: path for path in (STATIC / "page").iterdir() if path.suffix in _MEDIA_TYPES}


def _page(request: Request, html: bytes) -> Response:
    return _revalidated(request, html, "text/html", {"Content-Security-Policy": _POLICY})


def _asset(request: Request, files: dict[str, Path]) -> Response:
    name = request.path_params["name"]
    path = files.get(name)
    if path is None:
        raise not_found(f"there is no file {name[:80]!r}")
    return _revalidated(request, _content(path), _MEDIA_TYPES[path.suffix], {})


def _revalidated(
    request: Request, content: bytes, media_type: str, headers: dict[str, str]
) -> Response:
    """Content that a browser asks for anew each time, since modules of two releases do not mix."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**headers, "Cache-Control": "no-cache", "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()

"""The pages for people: `/`, the newest pictures, and `/docs`, the interactive reference.

Both are whole without a network: nothing on them comes from another machine, and their policies
forbid the browser to fetch it.
"""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from httpd.bodies import Picture
from httpd.context import context_of
from httpd.gate import token_name
from httpd.images import page_of
from httpd.refusals import not_found

if TYPE_CHECKING:
    from starlette.requests import Request

SHOWN = 60
_MAX_PROMPT_CHARS = 300

_STATIC = Path(__file__).parent / "static"
_ASSETS = {"gallery.css": "text/css"}
_DOCS_ASSETS = {
    "swagger/swagger-ui-bundle.js": "text/javascript",
    "swagger/swagger-ui.css": "text/css",
    "docs.js": "text/javascript",
    "docs.css": "text/css",
}
_INDEX_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_DOCS_POLICY = f"{_INDEX_POLICY}; script-src 'self'; connect-src 'self'"

_DOCS = """<!doctype html>
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

_INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>genzo</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="static/gallery.css">
</head>
<body>
<header>
<h1>genzo</h1>
<p>{summary}</p>
<nav><a href="docs">API</a></nav>
</header>
<main>
{pictures}
</main>
<footer>
<p>A job is a file. Drop one, and its picture appears here:</p>
<pre><code>echo '{{"prompt": "a red circle on a white background"}}' &gt; circle.json
mv circle.json {incoming}/</code></pre>
</footer>
</body>
</html>
"""


async def index(request: Request) -> Response:
    """The newest pictures, for who is let in."""
    context = context_of(request)
    pictures: list[Picture] = []
    total: int | None = 0
    if not context.tokens or token_name(request):
        pictures, total = await run_in_threadpool(page_of, context, SHOWN, 0)
    shown = "\n".join(map(_figure, pictures)) or '<p class="empty">No pictures yet.</p>'
    page = _INDEX.format(
        summary=escape(_summary(len(pictures), total)),
        pictures=shown,
        incoming="incoming" if context.tokens else escape(str(context.spool.incoming)),
    )
    return _page(page, _INDEX_POLICY)


async def docs(_request: Request) -> Response:
    """Swagger UI."""
    return _page(_DOCS, _DOCS_POLICY)


async def docs_asset(request: Request) -> Response:
    """A file of the reference page."""
    name = request.path_params["name"]
    path = f"swagger/{name}" if name.startswith("swagger-ui") else name
    return _asset(path, _DOCS_ASSETS.get(path))


async def asset(request: Request) -> Response:
    """A file of the other pages."""
    name = request.path_params["name"]
    return _asset(name, _ASSETS.get(name))


def _figure(picture: Picture) -> str:
    prompt = str(picture.metadata.get("prompt", ""))
    if len(prompt) > _MAX_PROMPT_CHARS:
        prompt = prompt[:_MAX_PROMPT_CHARS] + "…"
    seed = picture.metadata.get("seed", "")
    return (
        f'<figure><a href="{escape(picture.url)}">'
        f'<img src="{escape(picture.thumbnail_url)}" alt="{escape(prompt)}" loading="lazy" '
        f'width="{picture.width}" height="{picture.height}"></a>'
        f"<figcaption><span>{escape(prompt)}</span>"
        f"<small>{picture.width} × {picture.height} · seed {escape(str(seed))}</small>"
        "</figcaption></figure>"
    )


def _summary(shown: int, total: int | None) -> str:
    if total is None:
        return f"The newest {shown} pictures"
    if total == 0:
        return "Pictures will appear here."
    if shown < total:
        return f"The newest {shown} of {total} pictures"
    return "1 picture" if total == 1 else f"{total} pictures"


def _page(html: str, policy: str) -> Response:
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(html, headers=headers, media_type="text/html")


def _asset(path: str, media_type: str | None) -> Response:
    if media_type is None:
        raise not_found(f"there is no file {path[:80]!r}")
    headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(_content(path), headers=headers, media_type=media_type)


@cache
def _content(path: str) -> bytes:
    return (_STATIC / path).read_bytes()

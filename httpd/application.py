"""The centre: puts the parts together into one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from httpd import refusals, table
from httpd.album import Album
from httpd.context import Context
from httpd.cors import Cors
from httpd.follower import Follower
from httpd.gallery_stream import GalleryStream
from httpd.gate import Gate
from httpd.guard import Guard
from httpd.headers import SafeHeaders
from httpd.pictures import Pictures
from httpd.stream_limit import StreamLimit
from httpd.tokens import Tokens
from httpd.uploads import Uploads
from spool.layout import Spool
from spool.outlook import Outlook
from spool.problems import Problem
from spool.settings import Settings


def create_application(
    spool: Spool,
    settings: Settings | None = None,
    tokens: Tokens | None = None,
    most_connections: int | None = None,
) -> Starlette:
    """The HTTP layer of `spool`.

    It asks for one of `tokens`, if there are any, and keeps a quarter of `most_connections` from
    streams.
    """
    settings = settings or Settings()
    tokens = tokens or Tokens()
    origins = settings.http.origins
    most_streams = max(1, (most_connections or settings.http.connections) * 3 // 4)
    pictures = Pictures(spool)
    album = Album(spool, settings)
    gallery = GalleryStream(spool, pictures, on_new=album.note)
    outlook = Outlook(spool)
    follower = Follower(spool, on_feed=gallery.wake, settings=settings, outlook=outlook)

    @asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(album.start)
        await gallery.start()
        follower.start()
        try:
            yield
        finally:
            await follower.stop()
            await gallery.stop()
            await run_in_threadpool(album.stop)

    application = Starlette(
        routes=table.routes(),
        middleware=[
            Middleware(SafeHeaders),
            Middleware(Guard, hosts=settings.http.hosts, origins=origins),
            Middleware(Cors, origins=origins),
            Middleware(Gate, tokens=tokens),
            Middleware(
                StreamLimit, per_client=settings.http.streams_per_client, total=most_streams
            ),
        ],
        exception_handlers={
            Problem: refusals.on_problem,
            HTTPException: refusals.on_http_exception,
            OSError: refusals.on_os_error,
            Exception: refusals.on_crash,
        },
        lifespan=lifespan,
    )
    # A name with a slash behind it is another name, and no one's.
    application.router.redirect_slashes = False
    application.state.context = Context(
        spool, settings, album, pictures, gallery, follower, outlook, tokens, Uploads()
    )
    return application

"""The centre: puts the parts together into one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from httpd import refusals, table
from httpd.album import Album
from httpd.context import Context
from httpd.follower import Follower
from httpd.gallery_stream import GalleryStream
from httpd.guard import Guard
from httpd.pictures import Pictures
from spool.layout import Spool
from spool.problems import Problem
from spool.settings import Settings


def create_application(
    spool: Spool, hosts: Collection[str] = (), settings: Settings | None = None
) -> Starlette:
    """The HTTP layer of `spool`; it answers to loopback names and to `hosts`."""
    settings = settings or Settings()
    pictures = Pictures(spool)
    gallery = GalleryStream(spool, pictures)
    follower = Follower(spool, on_feed=gallery.wake, settings=settings)

    @asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        await gallery.start()
        follower.start()
        try:
            yield
        finally:
            await follower.stop()
            await gallery.stop()

    application = Starlette(
        routes=table.routes(),
        middleware=[Middleware(Guard, hosts=hosts)],
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
    application.state.context = Context(spool, settings, Album(spool), pictures, gallery, follower)
    return application

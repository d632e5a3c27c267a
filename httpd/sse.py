"""GET /api/sse/{job_id} and /api/sse/gallery: server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

from httpd.channels import Channel
from httpd.context import context_of
from httpd.refusals import no_such_job
from httpd.tails import FINAL_ID

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

HEARTBEAT_SECONDS = 15.0

_RETRY = b"retry: 2000\n"
"""A field of the first event; in a block of its own some readers take it for an empty event."""
_HEADERS: Mapping[str, str] = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """Sends a channel's updates until it is closed or the listener goes."""

    media_type = "text/event-stream"

    def __init__(self, channel: Channel, on_end: Callable[[], object]) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._channel = channel
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listening = asyncio.create_task(self._until_disconnect(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            if scope["method"] != "HEAD":
                await self._send_batches(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            listening.cancel()
            self._on_end()

    async def _send_batches(self, send: Send) -> None:
        body = _RETRY + self._channel.take()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        async for batch in self._channel.batches(HEARTBEAT_SECONDS):
            await send({"type": "http.response.body", "body": batch, "more_body": True})

    async def _until_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._channel.close()


async def stream_job(request: Request) -> Response:
    """The progress of one job, from its present state to its end."""
    job_id = request.path_params["job_id"]
    last_event_id = request.headers.get("last-event-id")
    follower = context_of(request).follower
    followed = await follower.follow(job_id, last_event_id)
    if followed is None:
        raise no_such_job(job_id)
    tail, channel = followed
    if tail.is_finished and last_event_id == FINAL_ID:
        # 204 tells an EventSource not to come back.
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return EventStream(channel, partial(follower.unfollow, tail, channel))


async def stream_gallery(request: Request) -> Response:
    """New pictures, one event each."""
    gallery = context_of(request).gallery
    channel = await gallery.follow(request.headers.get("last-event-id"))
    return EventStream(channel, partial(gallery.unfollow, channel))

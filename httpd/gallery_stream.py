"""New pictures as they are published: one reader of live/feed.jsonl for all listeners."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from starlette.concurrency import run_in_threadpool

from httpd.channels import Channel, Kind, Update, encode, joined
from httpd.pictures import Pictures
from spool.feed import FeedReader
from spool.gallery import PictureName
from spool.layout import Spool

log = logging.getLogger(__name__)

REMEMBERED = 500
"""How many pictures back a listener may resume."""


class GalleryStream:
    """Tells listeners of new pictures. Belongs to the event loop's thread."""

    def __init__(self, spool: Spool, pictures: Pictures) -> None:
        self._reader = FeedReader(spool)
        self._pictures = pictures
        self._channels: set[Channel] = set()
        self._recent: deque[PictureName] = deque(maxlen=REMEMBERED)
        self._news = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Pass over what was published before, and listen for more."""
        self._recent.extend(await run_in_threadpool(self._read))
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self.close_streams()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def close_streams(self) -> None:
        """End every stream now, and each that is opened from now on."""
        self._is_closing = True
        for channel in self._channels:
            channel.close()
        self._channels.clear()

    def wake(self) -> None:
        """Look for new pictures soon."""
        self._news.set()

    async def follow(self, last_event_id: str | None) -> Channel:
        """A channel of the pictures from now on, or of those behind `last_event_id`."""
        channel = Channel()
        missed = self._behind(last_event_id)
        if missed:
            channel.put(joined(await run_in_threadpool(self._updates, missed)))
            # What came meanwhile; from here to the registration nothing can.
            for update in self._updates(self._behind(str(missed[-1]))):
                channel.put(update)
        if self._is_closing:
            channel.close()
        else:
            self._channels.add(channel)
        return channel

    def unfollow(self, channel: Channel) -> None:
        self._channels.discard(channel)

    def _behind(self, filename: str | None) -> list[PictureName]:
        """The remembered pictures behind `filename`; none if it is not remembered."""
        names = list(self._recent)
        known = PictureName.parse(filename or "")
        return names[names.index(known) + 1 :] if known in names else []

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                names = await run_in_threadpool(self._read)
                updates = await run_in_threadpool(self._updates, names)
            except (OSError, ValueError) as error:
                log.error("the feed of new pictures cannot be read: %s", error)
                continue
            self._recent.extend(names)
            for channel in self._channels:
                for update in updates:
                    channel.put(update)

    def _read(self) -> list[PictureName]:
        names = (PictureName.parse(str(line.get("filename"))) for line in self._reader.read())
        return [name for name in names if name is not None]

    def _updates(self, names: list[PictureName]) -> list[Update]:
        pictures = ((name, self._pictures.picture(name)) for name in names)
        return [
            Update(Kind.STEP, encode(picture.model_dump(mode="json"), str(name)))
            for name, picture in pictures
        ]

"""New pictures as they are published: one reader of live/feed.jsonl for all listeners."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from starlette.concurrency import run_in_threadpool

from httpd.channels import Channel, Kind, Update, encode, joined
from httpd.pictures import Pictures
from spool.feed import FeedReader
from spool.gallery import PictureName
from spool.layout import Spool

log = logging.getLogger(__name__)

REMEMBERED = 3000
"""How many pictures back a listener may resume: about as many as the feed itself holds."""


class GalleryStream:
    """Tells listeners of new pictures. Belongs to the event loop's thread.

    An event's id is the picture's name, which the feed still tells after a restart.
    """

    def __init__(
        self, spool: Spool, pictures: Pictures, on_new: Callable[[list[PictureName]], None]
    ) -> None:
        """`on_new` is called with new pictures before any listener hears of them."""
        self._spool = spool
        self._reader = FeedReader(spool)
        self._pictures = pictures
        self._on_new = on_new
        self._channels: set[Channel] = set()
        self._recent: dict[PictureName, None] = {}
        self._missed: tuple[str, PictureName, Update] | None = None
        self._describing = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._news = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Pass over what was published before, and listen for more."""
        self._remember(await run_in_threadpool(self._read))
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

    @property
    def listeners(self) -> int:
        """How many streams of the gallery are open."""
        return len(self._channels)

    async def follow(self, last_event_id: str | None) -> Channel:
        """A channel of the pictures from now on, or of those behind `last_event_id`."""
        channel = Channel()
        # What was published before is not news, even if its line has not been read yet.
        if self._reader.has_more:
            await self._read_on()
        known = PictureName.parse(last_event_id or "")
        if known is not None and self._behind(known):
            # One at a time: those who come back together have missed the same.
            async with self._describing:
                update, newest = await self._what_was_missed(known)
                # What came meanwhile; from here to the registration nothing can.
                channel.put(update)
                for late in self._updates(self._behind(newest)):
                    channel.put(late)
        if self._is_closing:
            channel.close()
        else:
            self._channels.add(channel)
        return channel

    def unfollow(self, channel: Channel) -> None:
        self._channels.discard(channel)

    def _behind(self, known: PictureName) -> list[PictureName]:
        """The remembered pictures behind `known`; all of them if it was too long ago."""
        names = list(self._recent)
        if known in self._recent:
            return names[names.index(known) + 1 :]
        return names if names and known < names[0] else []

    async def _what_was_missed(self, known: PictureName) -> tuple[Update, PictureName]:
        missed = self._behind(known)
        newest = missed[-1]
        if self._missed is None or self._missed[:2] != (str(known), newest):
            update = joined(await run_in_threadpool(self._updates, missed))
            self._missed = (str(known), newest, update)
        return self._missed[2], newest

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._read_on()

    async def _read_on(self) -> None:
        """Tell the listeners of the pictures that the feed has by now."""
        async with self._reading:
            try:
                names = await run_in_threadpool(self._read)
                updates = await run_in_threadpool(self._updates, names)
            except (OSError, ValueError) as error:
                log.error("the feed of new pictures cannot be read: %s", error)
                return
            self._remember(names)
            self._on_new(names)
            for update in updates:
                self._publish(update)

    def _publish(self, update: Update) -> None:
        for channel in list(self._channels):
            if channel.is_behind:
                # It comes back for the rest, and finds it in the feed: nothing is dropped.
                channel.close()
                self._channels.discard(channel)
            else:
                channel.put(update)

    def _remember(self, names: Iterable[PictureName]) -> None:
        self._recent.update(dict.fromkeys(names))
        while len(self._recent) > REMEMBERED:
            del self._recent[next(iter(self._recent))]

    def _read(self) -> list[PictureName]:
        names = (PictureName.parse(str(line.get("filename"))) for line in self._reader.read())
        return [name for name in names if name is not None]

    def _updates(self, names: Sequence[PictureName]) -> list[Update]:
        """An event for each picture that is still there."""
        there = (name for name in names if name.picture(self._spool).exists())
        pictures = ((name, self._pictures.picture(name)) for name in there)
        return [
            Update(Kind.STATE, encode(picture.model_dump(mode="json"), str(name)))
            for name, picture in pictures
        ]

"""What goes out to one listener: server-sent events, bounded for those who read slowly.

An event is encoded once for all listeners. A listener that falls behind loses previews first,
then steps in between; it never loses a change of state.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

MAX_PENDING = 1024
"""Updates of some 100 bytes that may wait for a listener before those in between are dropped."""

HEARTBEAT = b": heartbeat\n"
"""A comment without a blank line behind it, which some readers would take for an empty event."""


class Kind(Enum):
    """How dear an update is to a listener that falls behind."""

    STATE = auto()  # never dropped
    STEP = auto()  # the oldest goes when too many wait
    PLACE = auto()  # only the latest counts


@dataclass(frozen=True, slots=True)
class Update:
    """One server-sent event as bytes, with its preview and without."""

    kind: Kind
    plain: bytes
    full: bytes | None = None

    @property
    def body(self) -> bytes:
        return self.plain if self.full is None else self.full


def encode(data: dict[str, Any], event_id: str | None = None) -> bytes:
    """An unnamed server-sent event: browsers hand only unnamed ones to `onmessage`."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def joined(updates: Iterable[Update]) -> Update:
    """Several updates as one that is not dropped: what a returning listener has missed."""
    return Update(Kind.STATE, b"".join(update.body for update in updates))


class Channel:
    """The updates on their way to one listener. Belongs to the event loop's thread.

    It is made for thousands: no deque, event or timer of its own while it waits but one future
    and one timer that fires when it has been quiet for as long as a heartbeat.
    """

    __slots__ = ("_closed", "_news", "_pending", "_shows_preview")

    def __init__(self) -> None:
        self._pending: list[Update] = []
        self._news: asyncio.Future[None] | None = None
        self._shows_preview = False
        self._closed = False

    def put(self, update: Update) -> None:
        """Queue `update`; one that has become stale makes room for it."""
        if self._pending:
            self._make_room(update)
        self._shows_preview = self._shows_preview or update.full is not None
        self._pending.append(update)
        self._wake()

    @property
    def is_behind(self) -> bool:
        """Whether as much waits for the listener as may."""
        return len(self._pending) >= MAX_PENDING

    def close(self) -> None:
        """End the stream once what is pending has gone out."""
        self._closed = True
        self._wake()

    def take(self) -> bytes:
        """What there is to send now; nothing is kept of it."""
        batch = b"".join([update.body for update in self._pending])
        self._pending.clear()
        self._shows_preview = False
        return batch

    async def batches(self, heartbeat_seconds: float) -> AsyncIterator[bytes]:
        """What there is to send, as much as there is at a time; a comment when it is quiet."""
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while True:
            if self._pending:
                yield self.take()
            elif self._closed:
                return
            elif await self._is_quiet(quiet_since + heartbeat_seconds):
                yield HEARTBEAT
            else:
                continue
            quiet_since = loop.time()

    async def _is_quiet(self, until: float) -> bool:
        """Wait for news; True if there is none by the loop's time `until`."""
        loop = asyncio.get_running_loop()
        news = self._news = loop.create_future()
        timer = loop.call_at(until, self._wake)
        try:
            await news
        finally:
            timer.cancel()
        return not (self._pending or self._closed)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _make_room(self, update: Update) -> None:
        if update.full is not None and self._shows_preview:
            self._strip_previews()
        if update.kind is Kind.PLACE:
            self._drop(lambda waiting: waiting.kind is Kind.PLACE)
        elif len(self._pending) >= MAX_PENDING:
            self._drop(lambda waiting: waiting.kind is Kind.STEP and waiting.full is None)

    def _strip_previews(self) -> None:
        for index, waiting in enumerate(self._pending):
            if waiting.full is not None:
                self._pending[index] = replace(waiting, full=None)

    def _drop(self, is_stale: Callable[[Update], bool]) -> None:
        """Drop the oldest pending update that is stale, if there is one."""
        for index, waiting in enumerate(self._pending):
            if is_stale(waiting):
                del self._pending[index]
                return

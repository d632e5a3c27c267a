"""What goes out to one listener: server-sent events, bounded for those who read slowly.

An event is encoded once for all listeners. A listener that falls behind loses previews first,
then steps in between; it never loses a change of state.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

MAX_PENDING = 1024
"""Updates of some 100 bytes that may wait for a listener before those in between are dropped."""

HEARTBEAT = b": heartbeat\n\n"


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
    """The updates on their way to one listener. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._pending: deque[Update] = deque()
        self._news = asyncio.Event()
        self._closed = False

    def put(self, update: Update) -> None:
        """Queue `update`; one that has become stale makes room for it."""
        if update.full is not None:
            self._strip_previews()
        if update.kind is Kind.PLACE:
            self._drop(lambda waiting: waiting.kind is Kind.PLACE)
        elif len(self._pending) >= MAX_PENDING:
            self._drop(lambda waiting: waiting.kind is Kind.STEP and waiting.full is None)
        self._pending.append(update)
        self._news.set()

    def close(self) -> None:
        """End the stream once what is pending has gone out."""
        self._closed = True
        self._news.set()

    async def batches(self, heartbeat_seconds: float) -> AsyncIterator[bytes]:
        """What there is to send, as much as there is at a time; a comment when it is quiet."""
        while True:
            if self._pending:
                batch = b"".join(update.body for update in self._pending)
                self._pending.clear()
                yield batch
                continue
            if self._closed:
                return
            self._news.clear()
            try:
                async with asyncio.timeout(heartbeat_seconds):
                    await self._news.wait()
            except TimeoutError:
                yield HEARTBEAT

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

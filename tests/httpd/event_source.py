"""A browser's EventSource on a bare socket: comes back by itself, until it is told not to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from tests.httpd.conftest import Event

RETRY_SECONDS = 0.1


@dataclass
class EventSource:
    """Listens to one stream of a server on loopback; `events` is all that it was told."""

    port: int
    path: str
    last_event_id: str | None = None
    events: list[Event] = field(default_factory=list)
    connections: int = 0
    is_over: bool = False

    async def run(self) -> None:
        """Listen until the server answers 204."""
        while not self.is_over:
            with contextlib.suppress(OSError, EOFError):
                await self._connect()
            if not self.is_over:
                await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            seen = f"Last-Event-ID: {self.last_event_id}\r\n" if self.last_event_id else ""
            head = f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{seen}\r\n"
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer.split()[1])
            assert status in {200, 204}, answer
            self.connections += 1
            self.is_over = status == 204
            while status == 200 and (size := int(await reader.readuntil(), 16)):
                piece = await reader.readexactly(size + 2)
                self._take(piece[:-2].decode())
        finally:
            writer.close()

    def _take(self, chunk: str) -> None:
        # The server sends whole events; retry and comments may stand before the first line.
        for block in chunk.split("\n\n"):
            fields = dict(line.partition(": ")[::2] for line in block.splitlines())
            self.last_event_id = fields.get("id", self.last_event_id)
            if "data" in fields:
                data: dict[str, Any] = json.loads(fields["data"])
                self.events.append(Event(data, fields.get("id")))

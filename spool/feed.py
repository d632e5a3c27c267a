"""live/feed.jsonl: one line per picture, in the order of publication, bounded in size.

The gallery's stream tails it. Writers hold locks/feed.lock; when the file passes FEED_BYTES its
newer half goes on in a new file (another inode) of the same name.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from spool import durable
from spool.layout import Spool
from spool.locks import lock

FEED_BYTES = 256 * 1024


def announce(spool: Spool, filename: str, data: dict[str, Any]) -> None:
    """Append the picture `filename` to the feed, unless it stands there already. Not durable."""
    line = json.dumps({"filename": filename, **data}, ensure_ascii=False).encode() + b"\n"
    mark = json.dumps({"filename": filename}).encode()[:-1] + b","
    with lock(spool, "feed"):
        descriptor = os.open(spool.feed, os.O_RDWR | os.O_CREAT | os.O_APPEND, durable.FILE_MODE)
        try:
            os.fchmod(descriptor, durable.FILE_MODE)
            text = os.pread(descriptor, FEED_BYTES, 0)
            if text and not text.endswith(b"\n"):  # a full disk cut the last line short
                line = b"\n" + line
            if mark in text[: text.rfind(b"\n") + 1]:
                return
            if len(text) + len(line) <= FEED_BYTES:
                durable.write_all(descriptor, line)
                return
        finally:
            os.close(descriptor)
        newer = text[text.find(b"\n", len(text) // 2) + 1 :]
        durable.replace(spool.feed, newer + line, scratch=spool.tmp, durable=False)


@dataclass
class FeedReader:
    """Reads on from where it last stopped, across the change to a new file."""

    spool: Spool
    _inode: int = 0
    _offset: int = 0
    _last: bytes = field(default=b"", repr=False)

    def skip(self) -> None:
        """Pass over everything that stands there now."""
        self.read()

    @property
    def has_more(self) -> bool:
        """Whether there is something that `read` has not read; costs one look at the file."""
        try:
            found = self.spool.feed.stat()
        except FileNotFoundError:
            return False
        return (found.st_ino, found.st_size) != (self._inode, self._offset)

    def read(self) -> list[dict[str, Any]]:
        """The pictures published since the last call."""
        try:
            with self.spool.feed.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                moved = inode != self._inode
                file.seek(0 if moved else self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.splitlines(keepends=True)
        self._offset = len(whole) + (0 if moved else self._offset)
        self._inode = inode
        if moved and self._last in lines:
            lines = lines[lines.index(self._last) + 1 :]
        if lines:
            self._last = lines[-1]
        return [picture for line in lines if (picture := _decode(line)) is not None]


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(line)
    except ValueError:  # a full disk cut it short
        return None
    return document

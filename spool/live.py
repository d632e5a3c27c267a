"""The live sidecars of a job: progress lines and the preview, for whoever tails them.

live/<job_id>.jsonl is append-only, one JSON object a line, one `write` a line. A line is:

    {"status": "processing", "starts": 1, "step": 5, "total_steps": 20, "preview": 3}

`preview`, where present, says that live/<job_id>.jpg was replaced (for the third time) just
before the line. The last line of a finished job carries its final status, with `images` or
`error`. Nothing here is durable: after a crash the next start appends to what is left.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from spool import durable
from spool.layout import Spool
from spool.states import Status

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Event:
    """One line; `end` is the offset in bytes behind it, from which reading goes on."""

    end: int
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """`<starts>:<offset>`, which a reader gives back to resume behind this line."""
        return f"{self.data.get('starts', 0)}:{self.end}"

    @property
    def is_final(self) -> bool:
        return self.data.get("status") in _FINAL


_FINAL = frozenset(status.value for status in Status if status.is_final)


class LiveWriter:
    """Appends a job's progress and replaces its preview."""

    def __init__(self, spool: Spool, job_id: str, starts: int) -> None:
        self._spool = spool
        self._job_id = job_id
        self._starts = starts
        self._previews = 0
        self._descriptor = _open_for_append(spool.events(job_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def progress(self, step: int, total_steps: int, preview: bytes | None = None) -> None:
        """Append that `step` of `total_steps` is done, with a JPEG of the picture so far."""
        data: dict[str, Any] = {"step": step, "total_steps": total_steps}
        if preview is not None:
            path = self._spool.preview(self._job_id)
            durable.replace(path, preview, scratch=self._spool.tmp, durable=False)
            self._previews += 1
            data["preview"] = self._previews
        self.append(Status.PROCESSING, data)

    def append(self, status: Status, data: dict[str, Any]) -> None:
        line: dict[str, Any] = {"status": status.value, "starts": self._starts, **data}
        os.write(self._descriptor, json.dumps(line, ensure_ascii=False).encode() + b"\n")


def finish_events(spool: Spool, job_id: str, status: Status, starts: int, **data: Any) -> None:
    """Append the final line, unless it is there already."""
    last = last_event(spool.events(job_id))
    if last is not None and last.is_final:
        return
    seen = last.data if last else {}
    steps: dict[str, Any] = {key: seen[key] for key in ("step", "total_steps") if key in seen}
    with LiveWriter(spool, job_id, starts) as writer:
        writer.append(status, {**steps, **data})


def read_events(path: Path, offset: int = 0) -> list[Event]:
    """The whole lines of `path` behind `offset`; none if the file is missing.

    A line that is not one of ours is passed over. Stops at the last newline, since one read in
    eight ends inside a line.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return []
    return _lines(data, offset)


def last_event(path: Path) -> Event | None:
    """The last whole line of `path`, or None."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    start = max(0, size - _TAIL_BYTES)
    events = read_events(path, start)
    if start and events:
        events = events[1:] or events
    return events[-1] if events else None


def resumes_at(path: Path, offset: int) -> bool:
    """Whether `offset` is the end of a line of `path`, so that reading may go on there."""
    if offset == 0:
        return True
    try:
        with path.open("rb") as file:
            file.seek(offset - 1)
            return file.read(1) == b"\n"
    except (OSError, ValueError):
        return False


def _lines(data: bytes, offset: int) -> list[Event]:
    events = []
    for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
        offset += len(line)
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict) and "status" in document:
            events.append(Event(offset, document))
    return events


def _open_for_append(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, durable.FILE_MODE)
    size = os.fstat(descriptor).st_size
    if not size:
        os.fchmod(descriptor, durable.FILE_MODE)
    # A full disk may have cut the last line short; a fresh line must not continue it.
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")
    return descriptor

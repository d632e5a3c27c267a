"""What the lines of one job's sidecar say to a listener, encoded once and kept for latecomers."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from httpd.channels import Kind, encode
from spool.live import Event
from spool.problems import on_hold
from spool.states import Status

_EVENT_ID = re.compile(r"\d{1,4}:(\d{1,15})", re.ASCII)


@dataclass(slots=True)
class Progress:
    """What the lines so far say of a job."""

    status: str = Status.QUEUED.value
    starts: int = 0
    step: int = 0
    total_steps: int | None = None
    last_id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def apply(self, event: Event) -> tuple[Kind, dict[str, Any]]:
        """Take in one line; its kind, and what a listener is told of it."""
        line = dict(event.data)
        status, starts = line.pop("status"), line.pop("starts", self.starts)
        if starts != self.starts:
            self.step = 0
        kind = Kind.STEP if (status, starts) == (self.status, self.starts) else Kind.STATE
        self.status, self.starts, self.last_id = status, starts, event.id
        self.step = line.pop("step", self.step)
        self.total_steps = line.pop("total_steps", self.total_steps)
        line.pop("preview", None)
        if "reason" in line:
            line["error"] = on_hold(line.pop("reason"))
        self.extra = line
        return kind, self.present()

    def present(self) -> dict[str, Any]:
        """What a listener is told: status, step, total_steps, and what else the line says."""
        known = {"status": self.status, "step": self.step, "total_steps": self.total_steps}
        return {**known, **self.extra}


class Transcript:
    """The events of a job's lines in the order they were written, without previews.

    A listener that comes back gets a slice of it: nothing is read or encoded again.
    """

    def __init__(self) -> None:
        self._body = bytearray()
        self._ends = array("Q", [0])  # the offset in the sidecar behind each line
        self._places = array("Q", [0])  # where the event of each line ends in the body
        self._last_preview = 0  # the number of the last line that tells of a preview
        self._last: tuple[dict[str, Any], str] = ({}, "")

    @property
    def offset(self) -> int:
        """The offset in the sidecar behind the last line."""
        return self._ends[-1]

    def append(self, event: Event, data: dict[str, Any]) -> bytes:
        """Keep the event of one line; its bytes."""
        body = encode(data, event.id)
        self._body += body
        self._ends.append(event.end)
        self._places.append(len(self._body))
        self._last = (data, event.id)
        if "preview" in event.data:
            self._last_preview = len(self._ends) - 1
        return body

    @property
    def has_preview(self) -> bool:
        return self._last_preview > 0

    def number(self, last_event_id: str | None) -> int | None:
        """How many lines a listener that saw `last_event_id` has had; None if it is unknown."""
        match = _EVENT_ID.fullmatch(last_event_id or "")
        if match is None:
            return None
        offset = int(match[1])
        number = bisect_left(self._ends, offset)
        if number == len(self._ends) or self._ends[number] != offset:
            return None
        # After a power cut another line may end where the one that was seen did.
        mark = f"id: {last_event_id}\n".encode()
        if number and not self._body.startswith(mark, self._places[number - 1]):
            return None
        return number

    def shows_preview_behind(self, number: int) -> bool:
        """Whether a line behind the first `number` tells of a preview."""
        return self._last_preview > number

    def behind(self, number: int, preview: str | None) -> bytes:
        """The events behind the first `number` lines, `preview` with the last of them."""
        if preview is None or number == len(self._ends) - 1:
            return bytes(self._body[self._places[number] :])
        data, event_id = self._last
        whole = bytes(self._body[self._places[number] : self._places[-2]])
        return whole + encode({**data, "preview": preview}, event_id)

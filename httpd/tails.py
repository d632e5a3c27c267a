"""Following one job: its sidecar read line by line, each line encoded once for all listeners."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from httpd.channels import Channel, Kind, Update, encode, joined
from httpd.links import image_links
from spool.layout import Spool
from spool.live import Event, read_events, resumes_at
from spool.states import Status
from spool.views import JobView, job_view

FINAL_ID = "final"
_EVENT_ID = re.compile(r"\d{1,4}:(\d{1,15})", re.ASCII)


@dataclass(slots=True)
class Progress:
    """What the lines so far say of a job."""

    status: str = Status.QUEUED.value
    starts: int = 0
    step: int = 0
    total_steps: int | None = None
    last_id: str | None = None
    has_preview: bool = False
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
        self.has_preview = line.pop("preview", None) is not None or self.has_preview
        self.extra = line
        return kind, self.present()

    def present(self) -> dict[str, Any]:
        """What a listener is told: status, step, total_steps, and what else the line says."""
        known = {"status": self.status, "step": self.step, "total_steps": self.total_steps}
        return {**known, **self.extra}


def final_update(view: JobView) -> Update:
    """The last event of a finished job, made from its record."""
    data: dict[str, Any] = {
        "status": view.status.value,
        "step": view.step,
        "total_steps": view.total_steps,
        "images": [{**image, **image_links(image["filename"])} for image in view.images],
    }
    if view.error is not None:
        data["error"] = view.error
    return Update(Kind.STATE, encode(data, FINAL_ID))


def resume_offset(spool: Spool, job_id: str, last_event_id: str | None) -> int | None:
    """The offset from which a listener that saw `last_event_id` goes on; None if unknown."""
    match = _EVENT_ID.fullmatch(last_event_id or "")
    if match is None:
        return None
    offset = int(match[1])
    return offset if resumes_at(spool.events(job_id), offset) else None


def replay(spool: Spool, job_id: str, begin: int, end: int | None = None) -> Iterator[Update]:
    """The lines of an unfinished job between two offsets, the newest preview on the last."""
    progress = Progress()
    lines = []
    for event in read_events(spool.events(job_id)):
        if event.is_final or (end is not None and event.end > end):
            break
        kind, data = progress.apply(event)
        if event.end > begin:
            lines.append((kind, data, event.id, "preview" in event.data))
    preview = preview_url(spool, job_id) if any(line[3] for line in lines) else None
    for index, (kind, data, event_id, _) in enumerate(lines, start=1):
        full = {**data, "preview": preview} if preview and index == len(lines) else data
        yield Update(kind, encode(full, event_id))


def preview_url(spool: Spool, job_id: str) -> str | None:
    """The job's preview as a data URL, or None if it has none."""
    try:
        jpeg = spool.preview(job_id).read_bytes()
    except FileNotFoundError:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


class Tail:
    """One unfinished job and its listeners. Belongs to the event loop's thread.

    Its reads are of a few hundred bytes that were written a moment ago: on the spot they take
    some 30 µs, through a thread they would take longer.
    """

    def __init__(self, spool: Spool, job_id: str) -> None:
        self.job_id = job_id
        self.channels: set[Channel] = set()
        self.is_finished = False
        self.news = 0
        """Grows with every change, so that a survey which began before it is told apart."""
        self._spool = spool
        self._offset = 0
        self._progress = Progress()
        self._position: int | None = None
        self._final: Update | None = None
        self._read(publish=False)

    def subscribe(self, last_event_id: str | None) -> Channel:
        """A channel that begins with the present state, or right behind `last_event_id`."""
        self.read_on()
        channel = Channel()
        offset = resume_offset(self._spool, self.job_id, last_event_id)
        if offset is not None and offset <= self._offset:
            missed = list(replay(self._spool, self.job_id, offset, self._offset))
            if missed:
                channel.put(joined(missed))
            if self._final is None and self._progress.status != Status.PROCESSING:
                channel.put(self._snapshot())
        elif self._final is None:
            channel.put(self._snapshot())
        if self._final is not None:
            channel.put(self._final)
            channel.close()
        else:
            self.channels.add(channel)
        return channel

    def read_on(self) -> None:
        """Publish the lines that have come since the last call."""
        if not self.is_finished:
            self._read(publish=True)

    def finish(self, view: JobView) -> None:
        """Publish the end and close every channel."""
        if self.is_finished:
            return
        self.is_finished = True
        self._final = final_update(view)
        self._publish(self._final)
        self.close()

    def close(self) -> None:
        """Close every channel."""
        for channel in self.channels:
            channel.close()
        self.channels.clear()

    def placed(self, status: Status, position: int | None) -> None:
        """Take note of where the ticket lies; publish what its lines do not say."""
        if self.is_finished or (status.value, position) == (self._progress.status, self._position):
            return
        moved = status.value != self._progress.status
        self._position = position
        if moved:
            self._progress = Progress(status.value, self._progress.starts)
        kind = Kind.PLACE if status is Status.QUEUED else Kind.STATE
        self._publish(Update(kind, encode(self._data())))

    def _read(self, *, publish: bool) -> None:
        events = read_events(self._spool.events(self.job_id), self._offset)
        preview: str | None = None
        newest = max((n for n, event in enumerate(events) if "preview" in event.data), default=-1)
        if publish and newest >= 0:
            preview = preview_url(self._spool, self.job_id)
        for number, event in enumerate(events):
            self._offset = event.end
            if event.is_final:
                self._finish_by_line(event)
                return
            kind, data = self._progress.apply(event)
            self._position = None
            if publish:
                shown = {**data, "preview": preview} if preview and number == newest else None
                full = encode(shown, event.id) if shown else None
                self._publish(Update(kind, encode(data, event.id), full))

    def _finish_by_line(self, event: Event) -> None:
        view = job_view(self._spool, self.job_id)
        if view is not None and view.status.is_final:
            self.finish(view)
            return
        # The record was cleaned away; its last line is all that is left.
        _, data = self._progress.apply(event)
        names = data.get("images", [])
        data["images"] = [{"filename": name, **image_links(name)} for name in names]
        self.is_finished = True
        self._final = Update(Kind.STATE, encode(data, FINAL_ID))
        self._publish(self._final)
        self.close()

    def _snapshot(self) -> Update:
        data = self._data()
        event_id = None
        if self._progress.status == Status.PROCESSING:
            event_id = self._progress.last_id
            preview = preview_url(self._spool, self.job_id) if self._progress.has_preview else None
            if preview:
                data["preview"] = preview
        return Update(Kind.STATE, encode(data, event_id))

    def _data(self) -> dict[str, Any]:
        data = self._progress.present()
        if self._progress.status == Status.QUEUED:
            data["queue_position"] = self._position
        return data

    def _publish(self, update: Update) -> None:
        self.news += 1
        for channel in self.channels:
            channel.put(update)

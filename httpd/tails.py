"""Following one job: its sidecar read line by line, each line encoded once for all listeners."""

from __future__ import annotations

import base64
import time
from typing import Any

from httpd.channels import Channel, Kind, Update, encode
from httpd.links import image_links
from httpd.transcript import Progress, Transcript
from spool.layout import Spool
from spool.live import Event, read_events
from spool.states import Status
from spool.views import JobView, job_view

FINAL_ID = "final"

ETA_SECONDS, ETA_SHARE = 5.0, 0.2
"""An estimate that has changed by less than both is not worth an event."""

_REMEMBERED_ARRIVALS = 16


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


def preview_url(spool: Spool, job_id: str) -> str | None:
    """The job's preview as a data URL, or None if it has none."""
    try:
        jpeg = spool.preview(job_id).read_bytes()
    except FileNotFoundError:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


class Tail:
    """One job and its listeners. Made in any thread, then the event loop's alone.

    Its reads are of a few hundred bytes that were written a moment ago: on the spot they take
    some 30 µs, through a thread they would take longer. What a listener gets on arrival is read
    and encoded once for all who arrive between two changes.
    """

    def __init__(self, spool: Spool, job_id: str) -> None:
        self.job_id = job_id
        self.channels: set[Channel] = set()
        self.is_finished = False
        self.news = 0
        """Grows with every change, so that a survey which began before it is told apart."""
        self._spool = spool
        self._transcript = Transcript()
        self._progress = Progress()
        self._place: tuple[int | None, float | None] = (None, None)
        self._placed_at = 0.0
        self._final: Update | None = None
        self._preview: str | None = None
        self._is_preview_stale = True
        self._arrivals: dict[int | None, Update | None] = {}
        self._read(publish=False)

    def subscribe(self, last_event_id: str | None) -> Channel:
        """A channel that begins with the present state, or right behind `last_event_id`."""
        number = self._transcript.number(last_event_id)
        if number is None and last_event_id is not None:
            # Another server may have told of a line before the watch did.
            self.read_on()
            number = self._transcript.number(last_event_id)
        channel = Channel()
        arrival = self._arrival(number)
        if arrival is not None:
            channel.put(arrival)
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
        if not self.is_finished:
            self._end(final_update(view))

    def close(self) -> None:
        """Close every channel."""
        for channel in self.channels:
            channel.close()
        self.channels.clear()

    def placed(
        self, status: Status, position: int | None = None, eta_seconds: float | None = None
    ) -> None:
        """Take note of where the ticket lies; publish what its lines do not say."""
        moved = status.value != self._progress.status
        if self.is_finished or not (moved or self._is_news(position, eta_seconds)):
            return
        self._place, self._placed_at = (position, eta_seconds), time.monotonic()
        if moved:
            self._progress = Progress(status.value, self._progress.starts)
        kind = Kind.PLACE if status is Status.QUEUED else Kind.STATE
        self._publish(Update(kind, encode(self._data())))

    def _read(self, *, publish: bool) -> None:
        events = read_events(self._spool.events(self.job_id), self._transcript.offset)
        newest = max((n for n, event in enumerate(events) if "preview" in event.data), default=-1)
        if newest >= 0:
            self._is_preview_stale = True
        for number, event in enumerate(events):
            if event.is_final:
                self._finish_by_line(event)
                return
            kind, data = self._progress.apply(event)
            self._place = (None, None)
            plain = self._transcript.append(event, data)
            if publish:
                preview = self._newest_preview() if number == newest else None
                full = encode({**data, "preview": preview}, event.id) if preview else None
                self._publish(Update(kind, plain, full))

    def _finish_by_line(self, event: Event) -> None:
        view = job_view(self._spool, self.job_id)
        if view is not None and view.status.is_final:
            self.finish(view)
            return
        # The record was cleaned away; its last line is all that is left.
        _, data = self._progress.apply(event)
        names = data.get("images", [])
        data["images"] = [{"filename": name, **image_links(name)} for name in names]
        self._end(Update(Kind.STATE, encode(data, FINAL_ID)))

    def _end(self, final: Update) -> None:
        self.is_finished = True
        self._final = final
        self._publish(final)
        self.close()

    def _newest_preview(self) -> str | None:
        if self._is_preview_stale:
            self._preview = preview_url(self._spool, self.job_id)
            self._is_preview_stale = False
        return self._preview

    def _arrival(self, number: int | None) -> Update | None:
        if self._progress.status == Status.QUEUED:
            self._arrivals.clear()  # the time that is left changes by itself
        if number not in self._arrivals:
            if len(self._arrivals) >= _REMEMBERED_ARRIVALS:
                self._arrivals.clear()
            self._arrivals[number] = self._snapshot() if number is None else self._missed(number)
        return self._arrivals[number]

    def _missed(self, number: int) -> Update | None:
        """What a listener missed that has had `number` lines; None if that is nothing.

        It is one update that is never dropped. Who had every line is told the state again only
        if no line says it.
        """
        shown = self._transcript.shows_preview_behind(number) and not self.is_finished
        missed = self._transcript.behind(number, self._newest_preview() if shown else None)
        if self._final is None and (
            self._progress.status == Status.QUEUED or self._progress.last_id is None
        ):
            missed += encode(self._data())
        return Update(Kind.STATE, missed) if missed else None

    def _snapshot(self) -> Update | None:
        if self._final is not None:
            return None
        data = self._data()
        if self._progress.status == Status.PROCESSING and self._transcript.has_preview:
            preview = self._newest_preview()
            data |= {"preview": preview} if preview else {}
        waits = self._progress.status == Status.QUEUED
        return Update(Kind.STATE, encode(data, None if waits else self._progress.last_id))

    def _data(self) -> dict[str, Any]:
        data = self._progress.present()
        if self._progress.status == Status.QUEUED:
            data["queue_position"] = self._place[0]
            data["eta_seconds"] = self._eta_seconds()
        return data

    def _is_news(self, position: int | None, eta_seconds: float | None) -> bool:
        """Whether a listener who counts down from the last estimate has to be told."""
        left = self._eta_seconds()
        if position != self._place[0] or (left is None) != (eta_seconds is None):
            return True
        if left is None or eta_seconds is None:
            return False
        return abs(eta_seconds - left) > max(ETA_SECONDS, ETA_SHARE * eta_seconds)

    def _eta_seconds(self) -> float | None:
        """What is left of the latest estimate."""
        promised = self._place[1]
        if promised is None:
            return None
        return round(max(0.0, promised - (time.monotonic() - self._placed_at)), 1)

    def _publish(self, update: Update) -> None:
        self.news += 1
        self._arrivals.clear()
        for channel in self.channels:
            channel.put(update)

"""One watcher of work/ for all listeners: it wakes the tails, the gallery's stream and the queue.

Events are wake-ups and may be lost. Every POLL_SECONDS each followed job is looked at anyway,
and a survey of the tickets says what no line does: places in the queue, jobs put back or held,
and records whose final line is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from httpd.channels import Channel
from httpd.tails import Tail
from spool import ids
from spool.layout import CANCEL_SLOT, Spool
from spool.outlook import Outlook
from spool.presence import Presence, SpoolGone
from spool.settings import Settings
from spool.states import Status, TicketName, scan
from spool.views import JobView, job_view
from spool.watch import ARRIVALS, WRITES, arrived_at, watching

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
SURVEY_SECONDS = 0.1
"""The least time between two surveys; long queues are surveyed less often still."""

ENDED_SECONDS = 10.0
"""How long a finished job is remembered for those who come back for its end."""
_REMEMBERED_ENDS = 64

Place = tuple[Status, int | None, float | None]
"""A ticket's state; in the queue also its position and in how many seconds it is finished."""


class Follower:
    """Follows the jobs that have listeners. Belongs to the event loop's thread.

    `on_feed` is called, in the loop, when live/feed.jsonl may have grown.
    """

    def __init__(
        self,
        spool: Spool,
        on_feed: Callable[[], None],
        settings: Settings | None = None,
        outlook: Outlook | None = None,
    ) -> None:
        self._spool = spool
        self._settings = settings or Settings()
        self._outlook = outlook or Outlook(spool)
        self._presence: Presence | None = None
        self._on_feed = on_feed
        self._tails: dict[str, Tail] = {}
        self._arrivals: dict[str, asyncio.Task[Tail | None]] = {}
        self._ended: OrderedDict[str, tuple[Tail, float]] = OrderedDict()
        self._pending: set[str] = set()
        self._moved = asyncio.Event()
        self._is_closing = False
        self._is_away = False
        self._stack = contextlib.ExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._keep_watch()
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._survey())]

    async def stop(self) -> None:
        """Close every stream and end the watch."""
        self.close_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await run_in_threadpool(self._stack.close)

    def _keep_watch(self) -> None:
        """Watch the spool that is there now; another may have come in place of the old one.

        Progress is polled as long as there is none.
        """
        try:
            if self._presence is not None:
                self._presence.check()
                return
            self._presence = Presence(self._spool, self._spool.work)
        except SpoolGone as gone:
            if self._presence is not None:
                log.error("%s; waiting for it", gone)
                self._is_away = True
            self._presence = None
            self._stack.close()
            return
        watch = watching(
            self._settings.watch,
            self._spool.work,
            self._note,
            events=(*ARRIVALS, *WRITES),
            on_scan=lambda: self._call(self._look_at_all),
        )
        self._stack.enter_context(watch)
        if self._is_away:
            log.info("the spool %s is there again, and watched", self._spool.root)
            self._is_away = False

    def close_streams(self) -> None:
        """End every stream now, and each that is opened from now on."""
        self._is_closing = True
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()

    @property
    def listeners(self) -> int:
        """How many streams of jobs that are not finished are open."""
        return sum(len(tail.channels) for tail in self._tails.values())

    async def follow(self, job_id: str, last_event_id: str | None) -> tuple[Tail, Channel] | None:
        """The job's tail and a new channel of it; None if there is no such job.

        However many come at once, the job is looked at once.
        """
        tail = await self._tail(job_id) if ids.is_job_id(job_id) else None
        if tail is None:
            return None
        if not tail.is_finished:
            tail = self._tails.setdefault(job_id, tail)
        channel = tail.subscribe(last_event_id)
        if self._is_closing:
            channel.close()
        self._moved.set()
        return tail, channel

    def unfollow(self, tail: Tail, channel: Channel) -> None:
        """Forget a listener, and the job with its last one."""
        tail.channels.discard(channel)
        self._drop_if_idle(tail)

    async def _tail(self, job_id: str) -> Tail | None:
        ended = self._ended.get(job_id)
        if ended is not None and time.monotonic() < ended[1]:
            return ended[0]
        if job_id in self._tails and job_id not in self._arrivals:
            return self._tails[job_id]
        if job_id not in self._arrivals:
            arrival = asyncio.create_task(self._arrive(job_id))
            arrival.add_done_callback(lambda _: self._arrivals.pop(job_id))
            self._arrivals[job_id] = arrival
        # Shielded: the one that came first may leave first.
        return await asyncio.shield(self._arrivals[job_id])

    async def _arrive(self, job_id: str) -> Tail | None:
        tail = await run_in_threadpool(Tail, self._spool, job_id)
        # It is registered before the look at the job, so that no change falls between.
        self._tails[job_id] = tail
        news, view = tail.news, None
        try:
            view = await run_in_threadpool(self._look_at, job_id)
            tail.read_on()
            if view is not None and view.status.is_final:
                tail.finish(view)
            elif view is not None and tail.news == news:
                tail.placed(view.status, view.queue_position, view.eta_seconds)
        finally:
            if view is None or tail.is_finished:
                self._drop_if_idle(tail)
        return tail if view is not None else None

    def _look_at(self, job_id: str) -> JobView | None:
        view = job_view(self._spool, job_id)
        return self._outlook.seen(view) if view is not None else None

    def _drop_if_idle(self, tail: Tail) -> None:
        if not tail.channels and self._tails.get(tail.job_id) is tail:
            del self._tails[tail.job_id]
            if tail.is_finished:
                # Whoever lost its connection just before the end comes back now.
                self._ended[tail.job_id] = (tail, time.monotonic() + ENDED_SECONDS)
                while len(self._ended) > _REMEMBERED_ENDS:
                    self._ended.popitem(last=False)

    def _note(self, event: FileSystemEvent) -> None:
        """Called in the watcher's thread."""
        path = arrived_at(event)
        if path == self._spool.feed:
            self._call(self._on_feed)
        elif path.parent == self._spool.live:
            job_id = path.name.removesuffix(".jsonl")
            # One wake-up at a time: it will read all that has come by then.
            if job_id in self._tails and job_id not in self._pending:
                self._pending.add(job_id)
                self._call(self._wake, job_id)
        elif self._tails and TicketName.parse(path.name):
            self._call(self._moved.set)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        # The loop may be closed while the watcher's thread still ends.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _wake(self, job_id: str) -> None:
        self._pending.discard(job_id)
        tail = self._tails.get(job_id)
        if tail is not None:
            self._read_on(tail)

    def _read_on(self, tail: Tail) -> None:
        try:
            tail.read_on()
        except OSError as error:
            log.error("%s: its progress cannot be read: %s", tail.job_id, error)
        if tail.is_finished:
            self._drop_if_idle(tail)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await run_in_threadpool(self._keep_watch)
            self._look_at_all()

    def _look_at_all(self) -> None:
        self._on_feed()
        for tail in list(self._tails.values()):
            self._read_on(tail)
            if tail.job_id not in self._arrivals:
                self._drop_if_idle(tail)
        self._moved.set()

    async def _survey(self) -> None:
        """Tell the tails where their tickets lie, whenever tickets have moved."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            began = time.monotonic()
            try:
                await self._survey_once()
            except OSError as error:
                log.error("the queue cannot be read: %s", error)
            took = time.monotonic() - began
            await asyncio.sleep(max(SURVEY_SECONDS - took, 5 * took))

    async def _survey_once(self) -> None:
        news = {job_id: tail.news for job_id, tail in self._tails.items()}
        if not news:
            return
        places, finished = await run_in_threadpool(survey, self._spool, tuple(news), self._outlook)
        for job_id, tail in list(self._tails.items()):
            if tail.news != news.get(job_id):
                # Something came since the survey began, which may say the opposite.
                self._moved.set()
            elif job_id in finished:
                tail.read_on()
                tail.finish(finished[job_id])
                self._drop_if_idle(tail)
            elif job_id in places:
                tail.placed(*places[job_id])


def survey(
    spool: Spool, job_ids: Iterable[str], outlook: Outlook
) -> tuple[dict[str, Place], dict[str, JobView]]:
    """Where the tickets of `job_ids` lie, and the views of those that are finished.

    A job in neither was moving at the moment. Each directory is read once for all.
    """
    wanted = set(job_ids)
    places: dict[str, Place] = {}
    for position, name in enumerate(scan(spool.queued), start=1):
        if name.job_id in wanted:
            eta = outlook.eta_seconds(name.job_id, position)
            places[name.job_id] = (Status.QUEUED, position, eta)
    for status, directory in _other_places(spool):
        for name in scan(directory):
            if name.job_id in wanted:
                places[name.job_id] = (status, None, None)
    finished = {}
    for job_id in wanted:
        if spool.record(job_id).exists():
            view = job_view(spool, job_id)
            if view is not None and view.status.is_final:
                finished[job_id] = view
    return places, finished


def _other_places(spool: Spool) -> list[tuple[Status, Path]]:
    # A ticket in the slot of cancellations is about to be a record; nobody works on it.
    slots = [slot for slot in spool.active.iterdir() if slot.name != CANCEL_SLOT]
    return [*((Status.PROCESSING, slot) for slot in slots), (Status.HELD, spool.held)]

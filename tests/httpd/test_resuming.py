"""Listeners of servers and daemons that die: nothing is missed, and nothing comes twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from spool.layout import Spool
from spool.live import read_events
from spool.recovery import recover
from spool.states import Status
from tests import services
from tests.httpd.conftest import Event, Served, start_server, stop_server
from tests.httpd.event_source import EventSource
from tests.httpd.stand_in import Run, StandIn, picture_bytes, report

CLIENTS = 12
STEPS = 40
SECONDS = 60.0

Told = tuple[str | None, str, int]


@dataclass
class Mortal:
    """A server that is killed, and started again where it was."""

    spool: Spool
    daemon: StandIn
    port: int = field(default_factory=services.free_port)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.served: Served = start_server(self.spool, "--port", str(self.port))

    def kill(self) -> None:
        self.served.client.close()
        self.served.process.kill()
        self.served.process.wait()

    def listeners(self, stream: str, last_event_id: str | None = None) -> list[EventSource]:
        path = f"/api/sse/{stream}"
        return [EventSource(self.port, path, last_event_id) for _ in range(CLIENTS)]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    spool = Spool.create(tmp_path / "spool")
    report(spool)
    daemon = StandIn(spool)
    mortal = Mortal(spool, daemon)
    yield mortal
    stop_server(mortal.served)
    daemon.slot.release()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def follow(clients: list[EventSource], story: Callable[[], object]) -> None:
    """Let `story` happen in a thread of its own while `clients` listen to their end."""

    async def listen() -> None:
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.run())
            await until(lambda: all(client.events for client in clients))
            group.create_task(asyncio.to_thread(story))

    asyncio.run(listen())


def rendered(run: Run, steps: range, pause_seconds: float = 0.01) -> None:
    """The daemon goes on through `steps`, with a preview at each fifth."""
    for step in steps:
        run.step(step, STEPS, picture_bytes("JPEG") if step % 5 == 0 else None)
        time.sleep(pause_seconds)


def told(events: list[Event]) -> list[Told]:
    """What was told from the first event of the sequence on; those before have no id."""
    first = next(n for n, event in enumerate(events) if event.id is not None)
    return [(e.id, e.data["status"], e.data["step"]) for e in events[first:]]


def places(events: list[Event]) -> list[int | None]:
    """The places in the queue that were told; none of these events has an id."""
    waiting = [event for event in events if event.data["status"] == Status.QUEUED]
    assert all(event.id is None for event in waiting)
    return [event.data["queue_position"] for event in waiting]


def written(spool: Spool, job_id: str) -> list[Told]:
    """The whole sequence of the job, as its sidecar has it, with the end's own id."""
    lines = read_events(spool.events(job_id))
    whole: list[Told] = [
        ("final" if e.is_final else e.id, e.data["status"], e.data["step"]) for e in lines
    ]
    assert whole[-1][0] == "final"
    return whole


def require_the_whole(clients: list[EventSource], whole: list[Told]) -> None:
    """Each was told all of the sequence, and nothing twice."""
    for client in clients:
        assert told(client.events) == whole


def test_a_server_that_is_killed_under_its_listeners_misses_and_repeats_nothing(
    mortal: Mortal,
) -> None:
    job_id = mortal.served.submit(steps=STEPS)
    clients = mortal.listeners(job_id)

    def story() -> None:
        run = mortal.daemon.begin(job_id)
        rendered(run, range(10))
        for begin in (10, 20, 30):
            mortal.kill()
            rendered(run, range(begin, begin + 10))
            mortal.start()
        run.step(STEPS, STEPS)
        run.complete()

    follow(clients, story)
    require_the_whole(clients, written(mortal.spool, job_id))


def test_a_job_that_ends_while_the_server_is_down_is_told_to_its_end(mortal: Mortal) -> None:
    job_id = mortal.served.submit(steps=STEPS)
    clients = mortal.listeners(job_id)

    def story() -> None:
        run = mortal.daemon.begin(job_id)
        rendered(run, range(10))
        mortal.kill()
        rendered(run, range(10, STEPS + 1), 0)
        run.complete()
        mortal.start()

    follow(clients, story)
    require_the_whole(clients, written(mortal.spool, job_id))
    assert all(client.events[-1].data["images"] for client in clients)


def test_who_asks_for_the_whole_has_it_even_if_all_of_it_happened_while_the_server_was_down(
    mortal: Mortal,
) -> None:
    job_id = mortal.served.submit(steps=STEPS)
    clients = mortal.listeners(job_id, last_event_id="0:0")

    def story() -> None:
        mortal.kill()
        run = mortal.daemon.begin(job_id)
        rendered(run, range(STEPS + 1), 0)
        run.complete()
        mortal.start()

    follow(clients, story)
    require_the_whole(clients, written(mortal.spool, job_id))


def test_a_daemon_that_dies_too_is_told_of_with_every_step_of_both_starts(mortal: Mortal) -> None:
    job_id = mortal.served.submit(steps=STEPS)
    clients = mortal.listeners(job_id)

    def story() -> None:
        rendered(mortal.daemon.begin(job_id), range(10))
        mortal.kill()
        # The daemon is gone without a word; the next one finds the ticket.
        recover(mortal.daemon.slot, starting=True)
        again = mortal.daemon.begin(job_id)
        rendered(again, range(5), 0)
        mortal.start()
        rendered(again, range(5, STEPS + 1))
        again.complete()

    follow(clients, story)
    require_the_whole(clients, written(mortal.spool, job_id))


def test_who_waited_when_the_server_died_is_told_the_place_of_now_and_then_everything(
    mortal: Mortal,
) -> None:
    ahead, job_id = mortal.served.submit(), mortal.served.submit(steps=STEPS)
    clients = mortal.listeners(job_id)

    def story() -> None:
        mortal.kill()
        mortal.daemon.render(ahead)
        mortal.start()
        services.wait_for(lambda: all(places(client.events) == [2, 1] for client in clients))
        run = mortal.daemon.begin(job_id)
        rendered(run, range(STEPS + 1))
        run.complete()

    follow(clients, story)
    for client in clients:
        assert client.connections >= 2
        assert told(client.events) == written(mortal.spool, job_id)


def test_who_waited_while_the_job_began_is_told_the_step_of_now_and_every_one_behind_it(
    mortal: Mortal,
) -> None:
    job_id = mortal.served.submit(steps=STEPS)
    clients = mortal.listeners(job_id)

    def story() -> None:
        mortal.kill()
        run = mortal.daemon.begin(job_id)
        rendered(run, range(10), 0)
        mortal.start()
        services.wait_for(lambda: all(client.events[-1].data["step"] == 9 for client in clients))
        rendered(run, range(10, STEPS + 1))
        run.complete()

    follow(clients, story)
    whole = written(mortal.spool, job_id)
    begin = next(n for n, line in enumerate(whole) if line[2] == 9)
    for client in clients:
        assert places(client.events) == [1]
        assert told(client.events) == whole[begin:]


def test_who_waits_again_keeps_the_place_in_the_sequence_though_waiting_has_no_id(
    mortal: Mortal,
) -> None:
    job_id = mortal.served.submit(steps=STEPS)
    clients = mortal.listeners(job_id)

    def story() -> None:
        first = mortal.daemon.begin(job_id)
        rendered(first, range(10))
        first.put_back()
        services.wait_for(lambda: all(c.events[-1].data["status"] == "queued" for c in clients))
        mortal.kill()
        mortal.start()
        services.wait_for(lambda: all(places(client.events) == [1, 1, 1] for client in clients))
        again = mortal.daemon.begin(job_id)
        rendered(again, range(STEPS + 1))
        again.complete()

    follow(clients, story)
    for client in clients:
        numbered = [event for event in told(client.events) if event[0] is not None]
        assert numbered == written(mortal.spool, job_id)


def test_a_held_job_is_told_once_and_its_release_goes_on_from_there(mortal: Mortal) -> None:
    job_id = mortal.served.submit(steps=STEPS)
    clients = mortal.listeners(job_id)

    def story() -> None:
        first = mortal.daemon.begin(job_id)
        rendered(first, range(3))
        first.claim.put_back(first.claim.name.starts)
        rendered(mortal.daemon.begin(job_id), range(3))
        recover(mortal.daemon.slot, starting=True)
        services.wait_for(lambda: all(c.events[-1].data["status"] == "held" for c in clients))
        mortal.kill()
        mortal.start()
        services.wait_for(lambda: all(c.connections == 2 for c in clients))
        assert mortal.served.client.delete(f"/api/jobs/{job_id}").json()["status"] == "cancelled"

    follow(clients, story)
    for client in clients:
        held = [event for event in client.events if event.data["status"] == Status.HELD]
        assert len(held) == 1
        assert "died 2 times" in held[0].data["error"]["detail"]
        assert client.events[-1].id == "final"


def test_the_gallery_goes_on_across_a_restart_behind_the_last_picture_that_was_seen(
    mortal: Mortal,
) -> None:
    clients = mortal.listeners("gallery")
    names: list[str] = []

    def render(count: int) -> None:
        for _ in range(count):
            names.append(mortal.daemon.render(mortal.served.submit()).images[0].filename)

    def seen(client: EventSource) -> list[str]:
        return [event.data["filename"] for event in client.events]

    async def story() -> None:
        tasks = [asyncio.create_task(client.run()) for client in clients]
        await until(lambda: all(client.connections for client in clients))
        await asyncio.to_thread(render, 3)
        await until(lambda: all(seen(client) == names for client in clients))
        unseen = [mortal.served.submit() for _ in range(5)]
        await asyncio.to_thread(mortal.kill)
        names.extend(mortal.daemon.render(job_id).images[0].filename for job_id in unseen)
        await asyncio.to_thread(mortal.start)
        await until(lambda: all(client.connections == 2 for client in clients))
        await asyncio.to_thread(render, 2)
        await until(lambda: all(len(seen(client)) >= len(names) for client in clients))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())
    for client in clients:
        assert seen(client) == names

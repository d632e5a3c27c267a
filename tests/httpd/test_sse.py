"""Progress of one job over server-sent events, from a server in another process."""

from __future__ import annotations

import base64
import io
import time
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from httpd.bodies import ProgressEvent
from spool import ids
from spool.control import Verb, command
from spool.live import LiveWriter, last_event
from spool.recovery import recover
from tests.httpd.conftest import Event, Served
from tests.httpd.stand_in import StandIn, picture_bytes

if TYPE_CHECKING:
    import httpx2


def offsets(events: list[Event]) -> list[str | None]:
    return [event.id for event in events]


def test_a_job_is_followed_from_the_queue_to_its_pictures(served: Served, daemon: StandIn) -> None:
    job_id = served.submit(steps=3)
    with served.listen(job_id) as events:
        first = events.next()
        assert first.data == {
            "status": "queued",
            "step": 0,
            "total_steps": None,
            "queue_position": 1,
            "eta_seconds": None,
        }
        assert first.id is None
        assert events.retry == 2000
        run = daemon.begin(job_id)
        for step in (1, 2, 3):
            run.step(step, 3)
            assert events.until(step=step).data["total_steps"] == 3
        record = run.complete()
        rest = events.rest()
    assert len(rest) == 1
    assert rest[0].id == "final"
    assert rest[0].data["status"] == "completed"
    assert rest[0].data["step"] == 3
    image = rest[0].data["images"][0]
    assert image["filename"] == record.images[0].filename
    assert served.client.get(image["url"]).status_code == 200
    assert served.client.get(image["thumbnail_url"]).status_code == 200


def test_the_stream_has_the_headers_that_proxies_and_browsers_need(
    served: Served, daemon: StandIn
) -> None:
    job_id = served.submit()
    with served.listen(job_id) as events:
        headers = events.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"


def test_every_event_conforms_to_the_specified_body(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    with served.listen(job_id) as events:
        run = daemon.begin(job_id)
        run.step(1, preview=picture_bytes("JPEG"))
        run.fail("out of memory")
        for event in events.rest():
            ProgressEvent.model_validate(event.data, extra="forbid")


def test_a_preview_is_a_jpeg_and_comes_only_with_the_line_that_changed_it(
    served: Served, daemon: StandIn
) -> None:
    job_id = served.submit()
    with served.listen(job_id) as events:
        run = daemon.begin(job_id)
        run.step(1, preview=picture_bytes("JPEG"))
        preview = events.until(step=1).data["preview"]
        run.step(2)
        assert "preview" not in events.until(step=2).data
        run.complete()
    media_type, _, encoded = preview.partition(",")
    assert media_type == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).format == "JPEG"


def test_one_who_comes_late_gets_the_present_step_and_preview_at_once(
    served: Served, daemon: StandIn
) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    run.step(1, preview=picture_bytes("JPEG"))
    run.step(2)
    with served.listen(job_id) as events:
        event = events.next()
        assert (event.data["status"], event.data["step"]) == ("processing", 2)
        assert event.data["preview"].startswith("data:image/jpeg;base64,")
        run.complete()


def test_resuming_neither_loses_nor_repeats_a_step(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    seen: list[Event] = []
    with served.listen(job_id) as events:
        for step in range(1, 6):
            run.step(step)
            seen.append(events.until(step=step))
    for step in range(6, 11):
        run.step(step)
    with served.listen(job_id, seen[-1].id) as events:
        seen += [events.next() for _ in range(5)]
    for step in range(11, 21):
        run.step(step)
    with served.listen(job_id, seen[-1].id) as events:
        run.complete()
        seen += events.rest()
    assert [event.data["step"] for event in seen] == [*range(1, 21), 20]
    assert len(set(offsets(seen))) == len(seen)


def test_many_missed_steps_are_all_replayed(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    for step in range(1, 501):
        run.step(step, 500)
    with served.listen(job_id, "1:0") as events:
        assert [events.next().data["step"] for _ in range(500)] == list(range(1, 501))
        run.complete()


def test_an_unknown_event_id_gets_a_snapshot(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    run.step(1)
    run.step(2)
    for unknown in ("1:7", "1:999999", "nonsense", "final", "9" * 400):
        with served.listen(job_id, unknown) as events:
            assert events.next().data["step"] == 2
    run.complete()


def test_a_finished_job_answers_with_its_end_and_then_with_204(
    served: Served, daemon: StandIn
) -> None:
    job_id = served.submit()
    daemon.render(job_id)
    with served.listen(job_id) as events:
        (event,) = events.rest()
    assert (event.id, event.data["status"]) == ("final", "completed")
    again = served.client.get(f"/api/sse/{job_id}", headers={"Last-Event-ID": "final"})
    assert (again.status_code, again.content) == (204, b"")


def test_a_finished_job_still_replays_what_was_missed(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    run.step(1)
    event = last_event(served.spool.events(job_id))
    assert event is not None
    run.step(2)
    run.complete()
    with served.listen(job_id, event.id) as events:
        rest = events.rest()
    assert [e.data["status"] for e in rest] == ["processing", "completed"]
    assert rest[0].data["step"] == 2


def test_the_end_comes_from_the_record_if_its_line_is_gone(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    daemon.render(job_id)
    served.spool.events(job_id).unlink()
    with served.listen(job_id) as events:
        (event,) = events.rest()
    assert (event.id, event.data["status"]) == ("final", "completed")
    assert len(event.data["images"]) == 1


def test_an_end_without_any_line_is_found_by_the_survey(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    run.step(7)
    with served.listen(job_id) as events:
        events.next()
        # The daemon writes to a file that is no longer the one of this name.
        served.spool.events(job_id).unlink()
        run.complete()
        served.spool.events(job_id).write_bytes(b"")
        final = events.until(status="completed")
    assert final.id == "final"


def test_a_waiting_job_moves_up_when_the_one_ahead_leaves(served: Served, daemon: StandIn) -> None:
    ahead, waiting = served.submit("first"), served.submit("second")
    with served.listen(waiting) as events:
        assert events.next().data["queue_position"] == 2
        began = time.monotonic()
        daemon.begin(ahead)
        assert events.next().data == {
            "status": "queued",
            "step": 0,
            "total_steps": None,
            "queue_position": 1,
            "eta_seconds": None,
        }
        assert time.monotonic() - began < 1


def test_a_job_that_is_claimed_but_has_no_line_yet_is_processing(
    served: Served, daemon: StandIn
) -> None:
    job_id = served.submit()
    with served.listen(job_id) as events:
        events.next()
        daemon.claim(job_id)
        event = events.next()
    assert event.data == {"status": "processing", "step": 0, "total_steps": None}


def test_a_job_that_is_put_back_waits_again(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    run.step(4)
    with served.listen(job_id) as events:
        assert events.next().data["step"] == 4
        run.put_back()
        event = events.until(status="queued")
        assert (event.data["step"], event.data["queue_position"]) == (0, 1)
        again = daemon.begin(job_id)
        again.step(1)
        assert events.until(step=1).data["status"] == "processing"
        again.complete()
        assert events.rest()[-1].id == "final"


def test_a_quarantined_job_is_held_with_the_reason(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    with served.listen(job_id) as events:
        first = daemon.begin(job_id)
        first.claim.put_back(first.claim.name.starts)
        daemon.begin(job_id)
        recover(daemon.slot, starting=True)
        event = events.until(status="held")
        assert "died 2 times" in event.data["error"]["detail"]
        assert command(served.spool, Verb.CANCEL, job_id).status == "cancelled"
        assert events.rest()[-1].data["status"] == "cancelled"


def test_a_failed_job_ends_with_its_problem(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    with served.listen(job_id) as events:
        daemon.begin(job_id).fail("out of memory at 4096 x 4096")
        final = events.rest()[-1]
    assert final.data["status"] == "failed"
    assert final.data["error"]["detail"] == "out of memory at 4096 x 4096"
    assert final.data["images"] == []


def test_all_listeners_of_a_job_are_told_the_same(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    run.step(1)
    with served.listen(job_id) as one, served.listen(job_id) as other:
        assert one.next() == other.next()
        run.step(2, preview=picture_bytes("JPEG"))
        assert one.next() == other.next()
        run.complete()
        assert one.rest() == other.rest()


@pytest.mark.parametrize("job_id", ["nonsense", "20261123T121728417-7f3a9c", "..", "%2e%2e%2fetc"])
def test_an_unknown_job_is_404(client: httpx2.Client, job_id: str) -> None:
    response = client.get(f"/api/sse/{job_id}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_a_line_reaches_the_listener_within_milliseconds(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    delays = []
    with served.listen(job_id) as events:
        events.next()
        for step in range(1, 101):
            began = time.perf_counter()
            run.step(step, 100)
            events.until(step=step)
            delays.append(time.perf_counter() - began)
            time.sleep(0.002)
        run.complete()
    assert sorted(delays)[len(delays) // 2] < 0.010


def test_a_line_that_is_not_json_is_passed_over(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    run = daemon.begin(job_id)
    with served.listen(job_id) as events:
        events.next()
        with served.spool.events(job_id).open("ab") as sidecar:
            sidecar.write(b"\x00\xff garbage\n[1]\n")
        run.step(3)
        assert events.until(step=3).data["status"] == "processing"
        run.complete()


def test_a_job_without_progress_file_is_followed_too(served: Served, daemon: StandIn) -> None:
    job_id = served.submit()
    served.spool.events(job_id).unlink()
    with served.listen(job_id) as events:
        assert events.next().data["status"] == "queued"
        claim = daemon.claim(job_id).start()
        with LiveWriter(served.spool, job_id, 1) as live:
            live.progress(5, 20)
        assert events.until(step=5).data["total_steps"] == 20
        claim.put_back(0)
    assert ids.is_job_id(job_id)

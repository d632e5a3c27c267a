"""New pictures over server-sent events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from httpd.bodies import Picture
from spool.feed import announce
from tests.httpd.conftest import Served
from tests.httpd.stand_in import StandIn

if TYPE_CHECKING:
    import httpx2


def test_a_new_picture_is_announced_as_the_list_shows_it(served: Served, daemon: StandIn) -> None:
    with served.listen("gallery") as events:
        job_id = served.submit("announced")
        daemon.render(job_id)
        event = events.next()
    listed = served.client.get("/api/images?limit=1").json()["images"][0]
    Picture.model_validate(event.data, extra="forbid")
    assert event.data["job_id"] == job_id
    assert event.data == listed
    assert event.id == event.data["filename"]


def test_pictures_of_before_are_not_announced(served: Served, daemon: StandIn) -> None:
    daemon.render(served.submit("before"))
    with served.listen("gallery") as events:
        daemon.render(served.submit("after"))
        assert events.next().data["metadata"]["prompt"] == "after"


def test_every_listener_gets_every_picture_once(served: Served, daemon: StandIn) -> None:
    with served.listen("gallery") as one, served.listen("gallery") as other:
        names = [daemon.render(served.submit()).images[0].filename for _ in range(5)]
        assert [one.next().data["filename"] for _ in names] == names
        assert [other.next().data["filename"] for _ in names] == names


def test_who_comes_back_gets_what_was_missed(served: Served, daemon: StandIn) -> None:
    with served.listen("gallery") as events:
        daemon.render(served.submit())
        seen = events.next()
    missed = [daemon.render(served.submit()).images[0].filename for _ in range(3)]
    with served.listen("gallery", seen.id) as events:
        assert [events.next().data["filename"] for _ in missed] == missed
        latest = daemon.render(served.submit()).images[0].filename
        assert events.next().data["filename"] == latest


def test_a_foreign_line_in_the_feed_is_passed_over(served: Served, daemon: StandIn) -> None:
    with served.listen("gallery") as events:
        announce(served.spool, "../../etc/passwd", {})
        daemon.render(served.submit("kept"))
        assert events.next().data["metadata"]["prompt"] == "kept"


def test_a_picture_is_announced_while_its_job_still_runs(served: Served, daemon: StandIn) -> None:
    with served.listen("gallery") as events:
        run = daemon.begin(served.submit("running", seed=3))
        began = time.monotonic()
        run.publish()
        event = events.next()
        assert time.monotonic() - began < 1
        assert event.data["metadata"]["seed"] == 3
        run.stop()


def test_the_gallery_is_no_job(client: httpx2.Client) -> None:
    assert client.get("/api/jobs/gallery").status_code == 404

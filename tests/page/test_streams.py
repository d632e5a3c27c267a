"""The page where the server has no place for its streams: it waits, says so, and gets them."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from spool import tokens
from tests.httpd.stand_in import StandIn, report
from tests.httpd.test_gate import write_config
from tests.page.albums import fill
from tests.page.browsing import submit, tiles, until
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom

TOKEN = tokens.draw()
STREAMS = 2
REFUSED = "Failed to load resource"


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Darkroom]:
    """A server that gives a token two streams."""
    config = write_config(tmp_path, ("alice", TOKEN), more=f"streams_per_client = {STREAMS}\n")
    with Darkroom.opened(tmp_path / "spool", "--config", str(config), with_daemon=False) as room:
        report(room.spool)
        fill(room.spool, 3)
        yield room


@contextmanager
def all_streams(room: Darkroom) -> Iterator[None]:
    """Another client of the same token listens, as often as it may."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{room.port}/api/sse/gallery",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with ExitStack() as stack:
        for _ in range(STREAMS):
            stack.enter_context(urllib.request.urlopen(asked, timeout=30))
        yield


def enter(page: Page) -> None:
    page.locator("#token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(tiles(page).first).to_be_visible()


def pause(page: Page) -> Locator:
    return page.get_by_role("status").filter(has_text="Live updates are paused")


def test_a_page_without_a_stream_says_so_and_gets_one_when_there_is_room(
    narrow: Darkroom, visit: Visitor
) -> None:
    page = visit(port=narrow.port, expected=REFUSED)
    page.clock.install()
    with all_streams(narrow):
        enter(page)
        expect(pause(page)).to_be_visible()

    def is_over() -> bool:
        # The server says when to ask again, which is half a minute later.
        page.clock.fast_forward(30_000)
        return pause(page).is_hidden()

    until(page, is_over, what="a stream, once the server knows that the others are gone")
    daemon = StandIn(narrow.spool)
    submit(page, "told of at once")
    expect(page.get_by_role("button", name="Cancel: told of at once")).to_be_visible()
    run = daemon.begin(_only_job(page))
    run.step(7)
    expect(page.get_by_text("7 of 20 steps")).to_be_visible()
    run.complete()
    expect(page.get_by_role("link", name="told of at once")).to_be_visible()
    page.close()


def test_without_any_stream_a_job_is_still_seen_to_its_picture(
    narrow: Darkroom, visit: Visitor
) -> None:
    page = visit(port=narrow.port, expected=REFUSED)
    daemon = StandIn(narrow.spool)
    with all_streams(narrow):
        enter(page)
        submit(page, "asked for again and again")
        expect(page.get_by_role("listitem").filter(has_text="asked for")).to_contain_text("No. 1")
        run = daemon.begin(_only_job(page))
        run.step(7)
        expect(page.get_by_text("7 of 20 steps")).to_be_visible()
        run.complete()
        expect(page.get_by_role("link", name="asked for again and again")).to_be_visible()
        expect(pause(page)).to_be_visible()
        page.close()


def test_a_refusal_that_says_nothing_of_when_is_tried_again_all_the_same(
    darkroom: Darkroom, visit: Visitor
) -> None:
    page = visit(expected=REFUSED)
    tries: list[str] = []

    def refuse_twice(route: Route) -> None:
        tries.append(route.request.method)
        if tries.count("GET") <= 2:
            route.fulfill(status=503)
        else:
            route.continue_()

    page.route("**/api/sse/gallery", refuse_twice)
    page.reload()
    expect(pause(page)).to_be_visible()
    expect(pause(page)).to_be_hidden()
    assert tries == ["GET", "HEAD", "GET", "HEAD", "GET"]
    darkroom.render("after two refusals", seed=4)
    expect(page.get_by_role("link", name="after two refusals")).to_be_visible()


def _only_job(page: Page) -> str:
    """The id of the one unfinished job."""
    job_id: str = page.evaluate(
        "fetch('/api/jobs?status=queued').then(r => r.json()).then(b => b.jobs[0].job_id)"
    )
    return job_id

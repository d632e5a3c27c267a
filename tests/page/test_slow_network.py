"""The page on a network that is slow, and with answers that break off."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.browsing import field, submit, tile, tiles, until
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom


def test_on_a_slow_network_a_job_is_sent_once_and_its_picture_arrives(page: Page) -> None:
    expect(tiles(page).first).to_be_visible()
    # A phone at the edge of its network; milliseconds, and bytes a second.
    conditions = {"offline": False, "latency": 800, "downloadThroughput": 50_000}
    conditions["uploadThroughput"] = 10_000
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", conditions)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    field(page, "Width").fill("64")
    field(page, "Height").fill("64")
    submit(page, "sent through a straw")
    expect(page.locator("#submit")).to_have_attribute("aria-disabled", "true")
    for _ in range(2):
        # Whoever is impatient clicks on a button that is busy; Playwright would wait for it.
        page.locator("#submit").dispatch_event("click")
    expect(tile(page, "sent through a straw")).to_be_visible(timeout=120_000)
    expect(page.locator("#submit")).not_to_have_attribute("aria-disabled", "true")
    assert len([line for line in sent if line.startswith("POST")]) == 1
    expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.parametrize("path", ["info", "jobs?*", "images?*"])
def test_an_answer_that_breaks_off_is_asked_for_again(
    darkroom: Darkroom, visit: Visitor, path: str
) -> None:
    page = visit()
    expect(tiles(page).first).to_be_visible()
    broken: list[str] = []

    def break_off_once(route: Route) -> None:
        if broken:
            route.continue_()
            return
        broken.append(route.request.url)
        route.fulfill(status=200, content_type="application/json", body='{"jobs": [{"job_id": "')

    page.route(f"**/api/{path}", break_off_once)
    page.reload()
    until(page, lambda: broken, what=f"a question for {path}")
    expect(tiles(page).first).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()
    darkroom.render(f"after a broken answer of {path}", seed=5)
    expect(tile(page, f"after a broken answer of {path}")).to_be_visible()

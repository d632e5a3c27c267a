"""The page while the daemon or the server is away, and when they are back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from spool.catalogue import ALIVE_SECONDS
from tests.page.browsing import submit, tile, tiles
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom


@pytest.fixture
def deserted(darkroom: Darkroom) -> Iterator[Darkroom]:
    """The darkroom after its daemon went away; it comes back at the end."""
    darkroom.send_daemon_away()
    yield darkroom
    if darkroom.daemon is None:
        darkroom.wake_daemon()


def test_jobs_wait_for_a_daemon_that_is_away(deserted: Darkroom, visit: Visitor) -> None:
    page = visit()
    expect(page.locator("#notice")).to_contain_text("No daemon is rendering at the moment")
    page.locator("#form").get_by_label("Width", exact=True).fill("64")
    page.locator("#form").get_by_label("Height", exact=True).fill("64")
    submit(page, "patience")
    expect(page.get_by_role("listitem").filter(has_text="patience")).to_contain_text("No. 1")
    deserted.wake_daemon()
    expect(page.locator("#notice")).to_be_hidden()
    expect(tile(page, "patience")).to_be_visible()


def test_a_server_that_comes_back_is_met_again(darkroom: Darkroom, visit: Visitor) -> None:
    page = visit(expected="ERR_")
    expect(tiles(page).first).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()
    darkroom.close_server()
    expect(page.locator("#notice")).to_contain_text("The server does not answer")
    submit(page, "written while nobody listened")
    expect(page.locator("#form-fault")).to_contain_text("No connection")
    expect(tiles(page).first).to_be_visible()
    darkroom.open_server()
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#form").get_by_label("Prompt", exact=True)).to_have_value(
        "written while nobody listened"
    )
    darkroom.render("rendered after the server came back")
    expect(tile(page, "rendered after the server came back")).to_be_visible()


def test_the_page_and_the_server_mean_the_same_by_a_silent_slot(page: Page) -> None:
    silent = page.evaluate("fetch('static/health.js').then((answer) => answer.text())")
    assert f"const SILENT_MS = {ALIVE_SECONDS * 1000:.0f};" in silent


def test_an_empty_gallery_says_how_to_begin(
    tmp_path_factory: pytest.TempPathFactory, visit: Visitor
) -> None:
    folder = tmp_path_factory.mktemp("empty") / "spool"
    with Darkroom.opened(folder, with_daemon=False) as room:
        page = visit(port=room.port)
        expect(page.get_by_role("heading", name="No pictures yet")).to_be_visible()
        expect(page.locator("#notice")).to_contain_text("No daemon has reported yet")
        submit(page, "the very first")
        expect(page.get_by_role("listitem").filter(has_text="the very first")).to_be_visible()
        # Before its server goes, which it would complain of.
        page.close()

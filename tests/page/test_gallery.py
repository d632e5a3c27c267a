"""The gallery: what comes does not move what is looked at, and what is gone is not missed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.httpd.stand_in import StandIn
from tests.page.albums import fill
from tests.page.browsing import tile, tiles, until
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom

MANY = 3000
MOST_NODES = 900


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """A server of many pictures, without a daemon."""
    folder = tmp_path_factory.mktemp("archive") / "spool"
    with Darkroom.opened(folder, with_daemon=False) as room:
        fill(room.spool, MANY)
        yield room


def test_many_pictures_are_scrolled_with_few_in_the_document(
    visit: Visitor, archive: Darkroom
) -> None:
    page = visit(port=archive.port)
    expect(page.locator("#gallery-count")).to_have_text("3,000 pictures")
    most = 0
    while not page.evaluate("document.querySelector('#gallery-foot').hidden"):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(20)
        most = max(most, page.evaluate("document.getElementsByTagName('*').length"))
        assert tiles(page).count() > 0
    assert most < MOST_NODES
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("a[href*='/20260101T000000000-']")).to_be_visible()


def test_the_keyboard_walks_through_the_rows(visit: Visitor, archive: Darkroom) -> None:
    page = visit(port=archive.port)
    tiles(page).first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    row = page.get_by_role("row").nth(1)
    expect(row.get_by_role("link").nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(tiles(page).nth(1)).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    expect(page.get_by_role("grid").locator(":focus")).to_have_count(0)
    assert page.locator("#grid a[tabindex='0']").count() == 1


def test_a_search_finds_what_prompts_say_and_stays_in_the_address(
    page: Page, darkroom: Darkroom
) -> None:
    darkroom.render("a lighthouse at dusk", seed=4)
    expect(tile(page, "a lighthouse at dusk")).to_be_visible()
    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    search.fill("lighthouse")
    expect(tiles(page)).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?q=lighthouse$"))
    darkroom.render("a lighthouse at dawn", seed=5)
    expect(tile(page, "a lighthouse at dawn")).to_be_visible()
    page.reload()
    expect(search).to_have_value("lighthouse")
    expect(tiles(page)).to_have_count(2)
    search.fill("nothing like this")
    expect(page.get_by_text("No picture’s prompt matches")).to_be_visible()
    page.get_by_role("button", name="Clear the search").click()
    expect(tile(page, "a red circle on a white background")).to_be_visible()
    expect(search).to_be_focused()
    expect(page).to_have_url(re.compile(r"^[^?]*$"))


def test_a_new_picture_waits_while_the_reader_is_further_down(
    visit: Visitor, archive: Darkroom
) -> None:
    page = visit(port=archive.port)
    expect(tiles(page).first).to_be_visible()
    seen = _scroll_to(page, 2500)
    daemon = StandIn(archive.spool)
    daemon.render(archive.post("a newcomer"))
    daemon.render(archive.post("another newcomer"))
    daemon.slot.release()
    pill = page.get_by_role("button", name="2 new pictures")
    expect(pill).to_be_visible()
    assert _first_in_sight(page) == seen
    pill.click()
    expect(tiles(page).first).to_have_accessible_name("another newcomer")
    expect(pill).to_be_hidden()
    expect(page.locator("#gallery-count")).to_have_text("3,002 pictures")


def test_a_reload_leads_back_to_where_one_was(visit: Visitor, archive: Darkroom) -> None:
    page = visit(port=archive.port)
    expect(tiles(page).first).to_be_visible()
    _scroll_to(page, 4000)
    seen = _scroll_to(page, 6000)
    page.reload()
    expect(page.locator(f"a[data-id='{seen.split()[0]}']")).to_be_in_viewport()
    until(page, lambda: _first_in_sight(page) == seen, what=f"{seen} in its place")
    _come_to_rest(page)
    assert _first_in_sight(page) == seen


def test_a_window_of_another_width_keeps_what_is_looked_at(
    visit: Visitor, archive: Darkroom
) -> None:
    page = visit(port=archive.port)
    expect(tiles(page).first).to_be_visible()
    seen = _scroll_to(page, 3000).split()[0]
    page.set_viewport_size({"width": 700, "height": 860})
    _come_to_rest(page)
    shown = page.locator(f"a[data-id='{seen}']")
    expect(shown).to_be_in_viewport()


def _scroll_to(page: Page, top: int) -> str:
    """Scroll, by CSS pixels from the top, and wait for the rows; the first picture in sight."""
    # There is nothing to scroll to before the first answer has told the height.
    until(page, lambda: page.evaluate("t => (scrollTo(0, t), scrollY === t)", top), what="height")
    return _come_to_rest(page)


def _come_to_rest(page: Page) -> str:
    """Wait until half a second changes nothing; the first picture in sight."""
    seen: list[str] = [""]

    def is_at_rest() -> bool:
        seen.append(_first_in_sight(page))
        return seen[-1] != "" and len(set(seen[-10:])) == 1

    until(page, is_at_rest, what="rest")
    return seen[-1]


def _first_in_sight(page: Page) -> str:
    """The first picture below the top of the window, and its distance to it; else nothing."""
    found: str = page.evaluate(
        """() => {
          const links = [...document.querySelectorAll("#grid a")];
          const boxes = links.map((a) => [a.dataset.id, Math.round(a.getBoundingClientRect().top)]);
          const inside = boxes.filter(([, top]) => top >= 0).sort((a, b) => a[1] - b[1]);
          return inside.length ? inside[0].join(" ") : "";
        }"""
    )
    return found

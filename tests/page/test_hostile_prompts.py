"""Prompts of those who wish the page ill: it stays readable, and none of them runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.httpd.stand_in import StandIn, report
from tests.page.browsing import tiles
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TURNED = "harmless \u202egnp.exe and no end of it"
PROMPTS = [
    "<img src=x onerror=alert(1)><script>alert(2)</script><style>*{display:none}</style>",
    "javascript:alert(3)//{prompt}{count}&lt;b&gt;&#x202e;'\"`",
    TURNED,
    "\u2067isolated, without an end",
    "شارع قديم في ضوء المساء، والناس يمشون.",
    "👩‍👩‍👧‍👦🏳️‍🌈" * 100,
    "Z̴̡̢͍̬̠͎̪̀̓̈́̇͗̈̓͘" * 100,
    "\n" * 1000 + "behind a thousand lines",
    "word " * 2000,
    "x" * 10_000,
]


@pytest.fixture(scope="module")
def haunted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """A genzo with a picture of each prompt, one more that runs, and others that wait."""
    folder: Path = tmp_path_factory.mktemp("haunted")
    with Darkroom.opened(folder / "spool", with_daemon=False) as room:
        report(room.spool)
        daemon = StandIn(room.spool)
        for prompt in PROMPTS:
            daemon.render(room.post(prompt))
        daemon.begin(room.post(PROMPTS[-1])).step(7)
        daemon.slot.release()
        for prompt in PROMPTS[:4]:
            room.post(prompt)
        yield room


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desk", "phone"])
def test_the_page_is_as_wide_as_its_window_and_runs_nothing(
    haunted: Darkroom, visit: Visitor, settings: dict[str, object]
) -> None:
    page = visit(port=haunted.port, **settings)
    told: list[str] = []
    page.on("dialog", lambda dialog: told.append(dialog.message))
    expect(page.locator("#running li")).to_have_count(1)
    expect(page.locator("#waiting li")).to_have_count(4)
    width = page.evaluate("innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("#running li").evaluate("node => node.offsetHeight") < 400
    for number, prompt in enumerate(reversed(PROMPTS)):
        # By the document: a picture of a row far below is no matter of sight here.
        page.locator("#grid a").nth(number).dispatch_event("click")
        expect(page.locator("#viewer")).to_be_visible()
        shown = page.locator("#sheet-prompt")
        expect(shown).to_have_js_property("textContent", prompt)
        if page.locator("#sheet").is_hidden():
            page.keyboard.press("i")
        assert shown.evaluate("node => node.scrollWidth <= node.clientWidth"), prompt[:40]
        expect(page.get_by_role("button", name="Use these settings")).to_be_in_viewport()
        page.keyboard.press("Escape")
        expect(page.locator("#viewer")).to_be_hidden()
        # The way back that closes it has been gone.
        expect(page).to_have_url(re.compile("^[^#]*$"))
    assert page.locator("script").count() == 1
    assert told == []
    page.close()


def test_a_prompt_does_not_turn_or_bury_the_pages_own_words(
    haunted: Darkroom, visit: Visitor
) -> None:
    page = visit(port=haunted.port)
    line = page.locator("#waiting .line-prompt").nth(2)
    expect(line).to_have_text(TURNED)
    expect(line).to_have_attribute("title", "harmless gnp.exe and no end of it")
    label = page.locator("#running button").get_attribute("aria-label") or ""
    assert label == f"Cancel: {'x' * 300}…"
    tips = page.locator("[title]").evaluate_all("nodes => nodes.map((node) => node.title.length)")
    assert max(tips) <= 301
    names = tiles(page).locator("img").evaluate_all("nodes => nodes.map((node) => node.alt.length)")
    assert 0 < min(names) <= max(names) <= 200
    expect(page.get_by_role("link", name="behind a thousand lines")).to_have_count(1)
    page.get_by_role("searchbox").fill(f"nothing \u202e{'y' * 100}")
    expect(page.locator("#empty")).to_have_text(
        f"No picture’s prompt matches “nothing {'y' * 100}”.Clear the search"
    )
    page.close()


def test_a_prompt_is_written_from_its_own_side(haunted: Darkroom, visit: Visitor) -> None:
    page = visit(port=haunted.port)
    _expect_direction(page, "#field-prompt", "ltr")
    page.locator("#field-prompt").fill(PROMPTS[4])
    _expect_direction(page, "#field-prompt", "rtl")
    page.locator("#grid a").nth(len(PROMPTS) - 1 - 4).dispatch_event("click")
    expect(page.locator("#sheet-prompt")).to_have_text(PROMPTS[4])
    _expect_direction(page, "#sheet-prompt", "rtl")
    page.close()


def test_a_prompt_that_is_longer_than_its_place_is_scrolled_by_keyboard(
    haunted: Darkroom, visit: Visitor
) -> None:
    page = visit(port=haunted.port)
    page.locator("#grid a").first.dispatch_event("click")
    prompt = page.locator("#sheet-prompt")
    expect(prompt).to_have_attribute("tabindex", "0")
    prompt.focus()
    page.keyboard.press("PageDown")
    expect(prompt).not_to_have_js_property("scrollTop", 0)
    page.close()


def _expect_direction(page: Page, selector: str, direction: str) -> None:
    expect(page.locator(selector)).to_have_css("direction", direction)

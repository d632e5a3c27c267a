"""Usable by everyone: checked by axe, and on a phone of the smallest kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.page.browsing import field, submit, tiles, unfold
from tests.page.conftest import Visitor

AXE = Path(__file__).parent / "axe/axe.min.js"
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
}
FINGER_PX = 36


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(visit: Visitor, scheme: str, settings: dict[str, Any]) -> None:
    # The policy of the page forbids foreign scripts, axe's included.
    page = visit(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce", **settings)
    expect(tiles(page).first).to_be_visible()
    unfold(page)
    page.get_by_role("button", name="About Steps").click()
    assert _violations(page) == []
    field(page, "Steps").fill("1000")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#field-steps-fault")).to_be_visible()
    assert _violations(page) == []
    tiles(page).first.click()
    expect(page.locator("#sheet-prompt")).not_to_be_empty()
    assert _violations(page) == []
    page.keyboard.press("Delete")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    assert _violations(page) == []


def test_axe_finds_nothing_in_the_queue(visit: Visitor) -> None:
    page = visit(bypass_csp=True, reduced_motion="reduce", locale="ja-JP")
    page.locator("#field-count").fill("50")
    page.locator("#field-steps").fill("200")
    for prompt in ("実行中", "待機中"):
        page.locator("#field-prompt").fill(prompt)
        page.locator("#submit").click()
    expect(page.locator("#running li")).to_have_count(1)
    expect(page.locator("#waiting li")).to_have_count(1)
    assert _violations(page) == []
    page.get_by_role("button", name="取り消す: 待機中").click()
    expect(page.locator("#waiting li")).to_have_count(0)
    page.get_by_role("button", name="取り消す: 実行中").click()
    expect(page.locator("#queue")).to_be_hidden()


def test_a_phone_shows_all_of_it_and_fingers_hit_it(visit: Visitor) -> None:
    page = visit(**PHONE)
    expect(tiles(page).first).to_be_visible()
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        """(least) => [...document.querySelectorAll("button, select, summary, .shapes label")]
          .filter((node) => node.offsetParent && !node.matches(".help-button"))
          .filter((node) => node.getBoundingClientRect().height < least)
          .map((node) => node.outerHTML)""",
        FINGER_PX,
    )
    assert small == []


def test_what_happens_is_told_to_those_who_do_not_see_it(page: Page) -> None:
    field(page, "Width").fill("64")
    field(page, "Height").fill("64")
    submit(page, "a picture for the ear")
    expect(page.locator("#announcer")).to_have_text("Finished: a picture for the ear")


def _violations(page: Page) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then((results) => results.violations)")
    return [
        f"{violation['id']}: {violation['help']}: {node['html']} {node['any']}"
        for violation in found
        for node in violation["nodes"]
    ]

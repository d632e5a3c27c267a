"""A picture at large: by keyboard and finger, what made it, and what can be done with it."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.browsing import field, tile, tiles
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom

PROMPT = "a purple flower on a green meadow"


# After `event` of the viewer, if one is named; with time for what must not happen.
OPEN_ANOTHER = """async (event) => {
  const dialog = document.getElementById("viewer");
  const told = new Promise((resolve) => dialog.addEventListener(event, resolve));
  document.getElementById("viewer-close").click();
  if (event) await told;
  document.querySelectorAll("#grid a")[1].click();
  await new Promise((resolve) => setTimeout(resolve, 500));
}"""


@pytest.fixture
def viewer(page: Page) -> Locator:
    """The viewer, open on the newest picture."""
    tiles(page).first.click()
    dialog = page.get_by_role("dialog", name="Picture")
    expect(dialog).to_be_visible()
    return dialog


def test_it_is_used_by_keyboard_and_gives_the_focus_back(page: Page, viewer: Locator) -> None:
    place = page.locator("#viewer-place")
    expect(place).to_have_text(re.compile("^1 of"))
    page.keyboard.press("ArrowRight")
    expect(place).to_have_text(re.compile("^2 of"))
    page.keyboard.press("End")
    expect(place).to_have_text(re.compile(r"^(\d+) of \1$"))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(place).to_have_text(re.compile("^2 of"))
    sheet = page.get_by_role("complementary", name="Details")
    expect(sheet).to_be_visible()
    page.keyboard.press("i")
    expect(sheet).to_be_hidden()
    page.keyboard.press("i")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(tiles(page).nth(1)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(tiles(page).first).to_be_focused()
    page.keyboard.press("Enter")
    expect(place).to_have_text(re.compile("^1 of"))


def test_the_whole_picture_is_shown(page: Page, viewer: Locator, darkroom: Darkroom) -> None:
    image = page.locator("#viewer-image")
    expect(image).to_have_js_property("complete", True)
    width = image.evaluate("node => node.naturalWidth")
    facts = page.locator("#sheet-facts")
    expect(facts).to_contain_text(f"{width} × ")
    download = page.get_by_role("link", name="Download")
    assert download.get_attribute("href") == image.get_attribute("src")
    with page.expect_download() as downloaded:
        download.click()
    name = downloaded.value.suggested_filename
    assert (
        downloaded.value.path().read_bytes()
        == next(darkroom.spool.gallery.rglob(name)).read_bytes()
    )


def test_its_settings_go_back_into_the_form(page: Page) -> None:
    field(page, "Prompt").fill("something else")
    tile(page, PROMPT).click()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(field(page, "Prompt")).to_have_value(PROMPT)
    expect(field(page, "Prompt")).to_be_focused()
    expect(field(page, "Width")).to_have_value("64")
    expect(field(page, "Steps")).to_have_value("4")
    expect(page.get_by_role("checkbox", name="Random")).not_to_be_checked()
    expect(field(page, "Seed")).to_have_value("2")


def test_it_is_copied_as_json_and_as_a_command_that_makes_it_again(
    page: Page, darkroom: Darkroom
) -> None:
    tile(page, PROMPT).click()
    page.get_by_role("button", name="Copy as JSON").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    asked = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert asked["prompt"] == PROMPT
    assert asked["seed"] == 2
    page.get_by_role("button", name="Copy as curl").click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.startsWith('curl'))")
    command = page.evaluate("navigator.clipboard.readText()")
    answer = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=True, timeout=30
    )
    body = json.loads(answer.stdout)
    assert body["job_id"]
    view = page.evaluate(f"fetch('{body['status_url']}').then(r => r.json())")
    assert {name: view["request"][name] for name in asked} == asked


def test_a_deleted_picture_is_gone_and_the_next_is_shown(page: Page, darkroom: Darkroom) -> None:
    darkroom.render("a picture that nobody needs", seed=3)
    tile(page, "a picture that nobody needs").click()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#sheet-prompt")).to_have_text("a picture that nobody needs")
    name = page.get_by_role("link", name="Download").get_attribute("download") or ""
    assert list(darkroom.spool.gallery.rglob(name))
    page.keyboard.press("Delete")
    page.locator("#question").get_by_role("button", name="Delete").click()
    expect(page.locator("#sheet-prompt")).not_to_have_text("a picture that nobody needs")
    assert not list(darkroom.spool.gallery.rglob(name))
    page.keyboard.press("Escape")
    expect(tile(page, "a picture that nobody needs")).to_have_count(0)


def test_the_browsers_way_back_closes_it_and_a_reload_keeps_it(page: Page, viewer: Locator) -> None:
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"#\d{8}T"))
    page.reload()
    expect(viewer).to_be_visible()
    expect(page.locator("#viewer-place")).to_have_text(re.compile("^2 of"))
    page.go_back()
    expect(viewer).to_be_hidden()
    expect(page).to_have_url(re.compile("^[^#]*$"))


@pytest.mark.parametrize("event", ["", "close"], ids=["at once", "on the way back"])
def test_one_that_is_opened_while_another_closes_stays(
    page: Page, viewer: Locator, event: str
) -> None:
    page.evaluate(OPEN_ANOTHER, event)
    expect(page.locator("#viewer-place")).to_have_text(re.compile("^2 of"))
    expect(viewer).to_be_visible()
    page.go_back()
    expect(viewer).to_be_hidden()
    expect(page).to_have_url(re.compile("^[^#]*$"))


def test_a_finger_turns_pages(visit: Visitor) -> None:
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    tiles(page).first.tap()
    place = page.locator("#viewer-place")
    expect(place).to_have_text(re.compile("^1 of"))
    _swipe(page, (300, 350), (90, 360))
    expect(place).to_have_text(re.compile("^2 of"))
    _swipe(page, (90, 350), (300, 360))
    expect(place).to_have_text(re.compile("^1 of"))
    _swipe(page, (180, 250), (190, 500))
    expect(page.get_by_role("dialog", name="Picture")).to_be_hidden()


def _swipe(page: Page, begin: tuple[int, int], end: tuple[int, int]) -> None:
    """Drag a finger, as the browser's own protocol does."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    middle = ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2)
    touch("touchStart", begin)
    touch("touchMove", middle)
    touch("touchMove", end)
    touch("touchEnd")

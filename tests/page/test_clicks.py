"""A click is for what stood under it when it began; an answer, for the question it was given to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from spool.states import Status
from tests.httpd.stand_in import StandIn
from tests.page.browsing import until
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom

ANSWER_TWO_QUESTIONS = """async () => {
  const { confirmed } = await import("/static/question.js");
  const words = { text: "?", yes: "yes", no: "no" };
  const click = (answer) => document.getElementById(`question-${answer}`).click();
  const first = confirmed(words);
  click("no");
  const second = confirmed(words);
  // Now the first question's close is told.
  await new Promise((resolve) => setTimeout(resolve, 100));
  click("yes");
  const third = confirmed(words);
  document.getElementById("question").close();
  return Promise.all([first, second, third]);
}"""


@pytest.fixture
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """A server whose jobs wait until the test begins them."""
    with Darkroom.opened(tmp_path_factory.mktemp("counter") / "spool", with_daemon=False) as room:
        yield room


def test_what_is_pressed_does_not_move_away(counter: Darkroom, visit: Visitor) -> None:
    first, behind = counter.post("the first job"), counter.post("the job behind it")
    page = visit(port=counter.port)
    button = page.get_by_role("button", name="Cancel: the job behind it")
    button.hover()
    before = button.bounding_box()
    page.mouse.down()
    daemon = StandIn(counter.spool)
    run = daemon.begin(first)
    run.step(1)
    until(page, lambda: _told(page) == "processing", what="the page to be told")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    assert button.bounding_box() == before
    page.mouse.up()
    expect(button).to_have_count(0)
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert counter.status(behind) is Status.CANCELLED
    run.complete()
    daemon.slot.release()


def test_each_question_has_its_own_answer(visit: Visitor, darkroom: Darkroom) -> None:
    page = visit()
    assert page.evaluate(ANSWER_TWO_QUESTIONS) == [False, True, False]


def _told(page: Page) -> str:
    """The state of the first job in the next answer that the page gets."""
    with page.expect_response("**/api/jobs?*") as answered:
        pass
    return str(answered.value.json()["jobs"][0]["status"])

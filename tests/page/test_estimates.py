"""How long a job still takes, as the page says it: learnt from what was rendered here."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Visitor
from tests.page.darkroom import SMALL, Darkroom


@pytest.mark.parametrize(
    ("locale", "span", "cancel"),
    [
        ("en-GB", r"about\s[\d,.]+\s(secs?|mins?|hrs?)\b", "Cancel: {prompt}"),
        ("ja-JP", r"約\s[\d,.]+\s(秒|分|時間)", "取り消す: {prompt}"),
    ],
)
def test_a_running_job_and_a_waiting_one_say_when_they_will_be_done(
    darkroom: Darkroom, visit: Visitor, locale: str, span: str, cancel: str
) -> None:
    darkroom.post("the one that runs", **SMALL | {"count": 50, "steps": 200})
    darkroom.post("the one behind it", **SMALL)
    page = visit(locale=locale)
    running = page.locator("#running li").filter(has_text="the one that runs")
    waiting = page.locator("#waiting li").filter(has_text="the one behind it")
    expect(running).to_contain_text(re.compile(rf"10,000 .*{span}"))
    expect(waiting).to_contain_text(re.compile(span))
    for prompt in ("the one behind it", "the one that runs"):
        page.get_by_role("button", name=cancel.format(prompt=prompt)).click()
    expect(page.locator("#queue")).to_be_hidden()

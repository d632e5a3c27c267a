"""What the page says when the server takes no job for now, and that nothing written is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from spool.catalogue import SlotState
from tests.httpd.stand_in import StandIn, report
from tests.page.browsing import field, submit
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom

PROMPT = "a lighthouse in the last light of the day"


@contextmanager
def configured(folder: Path, lines: str) -> Iterator[Darkroom]:
    """A server with `lines` in its configuration, and a slot that renders nothing."""
    config = folder / "genzo.toml"
    config.write_text(lines)
    options = ("--config", str(config))
    with Darkroom.opened(folder / "spool", *options, with_daemon=False) as room:
        report(room.spool)
        yield room


def ask(page: Page) -> None:
    """Ask for a picture with settings of one's own."""
    field(page, "Negative prompt").fill("people")
    field(page, "Steps").fill("7")
    submit(page, PROMPT)


def expect_all_kept(page: Page) -> None:
    """What was written is still there, also after a reload."""
    _expect_all(page)
    page.reload()
    _expect_all(page)


def _expect_all(page: Page) -> None:
    expect(field(page, "Prompt")).to_have_value(PROMPT)
    expect(field(page, "Negative prompt")).to_have_value("people")
    expect(field(page, "Steps")).to_have_value("7")


@pytest.mark.parametrize(
    ("locale", "when"),
    [
        ("en-GB", "The queue is full. Try again in 30 secs."),
        ("ja-JP", "キューがいっぱいです。30 秒後にもう一度お試しください。"),
    ],
)
def test_a_full_queue_says_when_to_try_again(
    tmp_path: Path, visit: Visitor, locale: str, when: str
) -> None:
    with configured(tmp_path, "[http]\nqueue_limit = 1\n") as room:
        first = room.post("the one that waits")
        page = visit(port=room.port, expected="429", locale=locale)
        page.locator("#field-prompt").fill(PROMPT)
        page.locator("#submit").click()
        expect(page.get_by_role("alert").filter(has_text=when)).to_be_visible()
        expect(page.locator("#field-prompt")).to_have_value(PROMPT)
        StandIn(room.spool).render(first)
        page.locator("#submit").click()
        expect(page.get_by_role("listitem").filter(has_text=PROMPT)).to_be_visible()
        expect(page.locator("#form-fault")).to_be_hidden()
        page.close()


def test_a_full_queue_costs_nothing_of_what_was_written(tmp_path: Path, visit: Visitor) -> None:
    with configured(tmp_path, "[http]\nqueue_limit = 1\n") as room:
        room.post("the one that waits")
        page = visit(port=room.port, expected="429")
        ask(page)
        expect(page.get_by_role("alert").filter(has_text="Try again in")).to_be_visible()
        expect_all_kept(page)
        page.close()


def test_a_full_disk_says_what_to_do(tmp_path: Path, visit: Visitor) -> None:
    with configured(tmp_path, '[disk]\nfloor_bytes = "4096 TiB"\n') as room:
        page = visit(port=room.port, expected="507")
        ask(page)
        alert = page.get_by_role("alert").filter(has_text="The disk is full")
        expect(alert).to_contain_text("Delete pictures here, or run genzo clean on the server")
        expect_all_kept(page)
        page.close()


def test_a_spool_that_is_away_is_waited_for(tmp_path: Path, visit: Visitor) -> None:
    with configured(tmp_path, "") as room:
        page = visit(port=room.port, expected="503")
        expect(page.locator("#health-text")).to_have_text("Ready")
        elsewhere = room.spool.root.rename(tmp_path / "elsewhere")
        ask(page)
        alert = page.get_by_role("alert").filter(has_text="did not accept")
        expect(alert).to_contain_text("the spool is not there and is waited for")
        expect(page.locator("#notice")).to_contain_text("the spool is not there")
        elsewhere.rename(room.spool.root)
        expect(page.locator("#notice")).to_be_hidden()
        expect_all_kept(page)
        page.get_by_role("button", name="Generate").click()
        expect(page.get_by_role("listitem").filter(has_text=PROMPT)).to_contain_text("No. 1")
        assert len(list(room.spool.queued.iterdir())) == 1
        page.close()


def test_all_slots_waiting_for_room_are_told_apart_from_no_slot(
    tmp_path: Path, visit: Visitor
) -> None:
    with configured(tmp_path, "") as room:
        report(room.spool, SlotState.FULL)
        page = visit(port=room.port)
        expect(page.locator("#health-text")).to_have_text("Disk full")
        expect(page.locator("#notice")).to_contain_text("nothing is started until there is room")
        page.close()

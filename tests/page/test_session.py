"""The page of a server that asks for a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from spool import tokens
from tests.httpd.stand_in import report
from tests.httpd.test_gate import write_config
from tests.page.albums import fill
from tests.page.browsing import field, tiles
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom

TOKEN = tokens.draw()


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Darkroom]:
    """A server that lets in who knows the token."""
    config = write_config(tmp_path, ("alice", TOKEN))
    folder = tmp_path / "spool"
    with Darkroom.opened(folder, "--config", str(config), with_daemon=False) as room:
        report(room.spool)
        fill(room.spool, 3)
        yield room


def test_a_token_opens_the_page_and_is_given_back(closed: Darkroom, visit: Visitor) -> None:
    page = visit(port=closed.port, expected="401")
    login = page.get_by_role("dialog", name="This genzo asks for a token")
    token = login.get_by_label("Token")
    expect(token).to_be_focused()
    page.keyboard.press("Escape")
    expect(login).to_be_visible()
    token.fill("guessed")
    page.keyboard.press("Enter")
    expect(login.get_by_role("alert")).to_have_text("This token is not known here.")
    token.fill(TOKEN)
    page.keyboard.press("Enter")
    expect(tiles(page)).to_have_count(3)
    expect(login).to_be_hidden()
    field(page, "Prompt").fill("for those inside")
    page.reload()
    expect(field(page, "Prompt")).to_have_value("for those inside")
    page.get_by_role("button", name="Log out").click()
    expect(login).to_be_visible()

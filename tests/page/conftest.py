"""A browser, a server and a daemon with the embedded model, shared by the tests of the page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.page.browsing import Visit
from tests.page.darkroom import Darkroom

CHROMIUM = "/usr/bin/chromium"

Visitor = Callable[..., Page]


# The package's scope, not the session's: while Playwright runs, this thread has an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # Chromium has no sandbox for root.
            chromium_sandbox=os.getuid() != 0,
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def darkroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """A spool with a daemon and a server; it has two pictures."""
    with Darkroom.opened(tmp_path_factory.mktemp("darkroom") / "spool") as room:
        room.render("a red circle on a white background", seed=1)
        room.render("a purple flower on a green meadow", seed=2)
        yield room


@pytest.fixture
def visit(browser: Browser, darkroom: Darkroom) -> Iterator[Visitor]:
    """Opens the page in a new window with its own memory; at the end nothing went wrong in it.

    Takes `Browser.new_context`'s settings, and `path`, `port` and `expected`, a word in the
    console's errors that are meant.
    """
    visits: list[Visit] = []

    def opened(**settings: object) -> Page:
        settings.setdefault("port", darkroom.port)
        visits.append(Visit(browser, **settings))  # type: ignore[arg-type]
        return visits[-1].page

    yield opened
    for visited in visits:
        visited.close()


@pytest.fixture
def page(visit: Visitor) -> Page:
    """The page in a window of a desk."""
    return visit()

"""The page at `/` while a hundred thousand pictures are scrolled through."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.page.albums import fill
from tests.page.conftest import CHROMIUM
from tests.page.darkroom import Darkroom

_SCROLL = """async () => {
  const frames = [];
  const end = document.getElementById("gallery-foot");
  let last = performance.now();
  let nodes = 0;
  while (!end.hidden) {
    scrollBy(0, 3000);
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
    nodes = Math.max(nodes, document.getElementsByTagName("*").length);
  }
  return {frames, nodes, heap: performance.memory.usedJSHeapSize};
}"""


@dataclass(frozen=True)
class Scrolled:
    """What scrolling from the first picture to the last took."""

    frames_ms: list[float]
    nodes: int
    """The most elements that were in the document at once."""
    heap_bytes: int


def scroll(home: Path, count: int) -> Scrolled:
    """Scroll through a gallery of `count` pictures as fast as they come."""
    with Darkroom.opened(home / "spool of the page", with_daemon=False) as room:
        fill(room.spool, count)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, chromium_sandbox=os.getuid() != 0
            )
            try:
                return _scrolled(browser.new_page(), room.port)
            finally:
                browser.close()


def _scrolled(page: Page, port: int) -> Scrolled:
    page.set_default_timeout(0)
    page.goto(f"http://127.0.0.1:{port}/")
    page.get_by_role("grid").get_by_role("link").first.wait_for()
    found = page.evaluate(_SCROLL)
    return Scrolled(found["frames"], found["nodes"], found["heap"])

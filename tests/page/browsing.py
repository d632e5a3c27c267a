"""A visit to the page that watches what the page does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect

PATIENCE_MS = 60_000
PAUSE_MS = 50

expect.set_options(timeout=PATIENCE_MS)


class Visit:
    """One window with its own cookies and storage."""

    def __init__(
        self, browser: Browser, *, port: int, path: str = "", expected: str = "", **settings: Any
    ) -> None:
        settings = {
            "locale": "en-GB",
            "color_scheme": "dark",
            "viewport": {"width": 1280, "height": 860},
            **settings,
        }
        self._expected = expected
        self._origin = f"http://127.0.0.1:{port}"
        self._faults: list[str] = []
        self._context = browser.new_context(**settings)
        self._context.grant_permissions(["clipboard-read", "clipboard-write"])
        self._context.set_default_timeout(PATIENCE_MS)
        self.page = self._context.new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self._faults.append(f"error: {error}"))
        self.page.on("request", self._on_request)
        self.page.goto(f"{self._origin}/{path}")

    def close(self) -> None:
        """End the visit. Raises AssertionError if the page did what it must not."""
        self._context.close()
        assert not self._faults, self._faults

    def _on_console(self, message: ConsoleMessage) -> None:
        # Violations of the policy are errors of the console too.
        is_fault = message.type in {"error", "warning"}
        if is_fault and not (self._expected and self._expected in message.text):
            self._faults.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        is_ours = request.url.startswith((f"{self._origin}/", "data:", "blob:"))
        if not is_ours:
            self._faults.append(f"request to {request.url}")


def until(page: Page, condition: Callable[[], object], *, what: str) -> None:
    """Wait until `condition()` holds, while what the page does is still heard of.

    For what no `expect` knows; raises AssertionError after `PATIENCE_MS`.
    """
    pauses = PATIENCE_MS // PAUSE_MS
    while not condition():
        assert pauses, f"waited {PATIENCE_MS} ms in vain for {what}"
        pauses -= 1
        page.wait_for_timeout(PAUSE_MS)


def tiles(page: Page) -> Locator:
    """The pictures of the gallery that are in the document."""
    return page.get_by_role("grid").get_by_role("link")


def tile(page: Page, prompt: str) -> Locator:
    """The newest picture of exactly this prompt."""
    return page.get_by_role("link", name=prompt, exact=True).first


def field(page: Page, label: str) -> Locator:
    """A field of the form."""
    return page.locator("#form").get_by_label(label, exact=True)


def unfold(page: Page) -> None:
    """Open every part of the form, once it is a model's and not the one shown until then."""
    expect(field(page, "Steps")).to_be_attached()
    page.locator("details").evaluate_all("nodes => nodes.forEach((node) => (node.open = true))")
    expect(field(page, "Steps")).to_be_visible()


def submit(page: Page, prompt: str) -> None:
    """Write a prompt and send the job."""
    field(page, "Prompt").fill(prompt)
    page.get_by_role("button", name="Generate").click()

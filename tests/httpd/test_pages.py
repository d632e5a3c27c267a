"""The pages for people: whole without a network, and nothing in them runs by surprise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from httpd import pages
from tests.httpd.conftest import Served
from tests.httpd.stand_in import StandIn

if TYPE_CHECKING:
    import httpx2


def test_the_page_holds_nothing_of_the_spool(served: Served, daemon: StandIn) -> None:
    daemon.render(served.submit("a quiet lake at dawn"))
    page = served.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.content == (pages.STATIC / "page/index.html").read_bytes()


def test_every_file_of_the_page_is_served_and_asked_for_anew(client: httpx2.Client) -> None:
    names = {path.name for path in (pages.STATIC / "page").iterdir()} - {"index.html"}
    assert len(names) > 20
    for name in names:
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["cache-control"] == "no-cache"
        known = {"If-None-Match": answer.headers["etag"]}
        assert client.get(f"/static/{name}", headers=known).status_code == 304
        assert client.get(f"/static/{name}", headers={"If-None-Match": '"x"'}).is_success


def test_every_module_and_style_is_used() -> None:
    folder = pages.STATIC / "page"
    used = set(re.findall(r'static/([\w.]+)"', (folder / "index.html").read_text()))
    for module in folder.glob("*.js"):
        used |= set(re.findall(r'from "\./([\w.]+)"', module.read_text(encoding="utf-8")))
    assert used == {path.name for path in folder.iterdir()} - {"index.html"}


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_fetches_nothing_from_elsewhere(client: httpx2.Client, path: str) -> None:
    page = client.get(path)
    assert "http" not in page.headers["content-security-policy"]
    sources = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert not [source for source in sources if "//" in source]
    for source in sources:
        if not source.startswith("data:"):
            assert client.get(f"/{source.lstrip('/')}").status_code == 200, source


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_runs_no_inline_script(client: httpx2.Client, path: str) -> None:
    page = client.get(path)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script>|<style|style=| on\w+=", page.text) == []


def test_the_reference_asks_nobody_about_the_specification(client: httpx2.Client) -> None:
    assert "validatorUrl: null" in client.get("/docs/docs.js").text


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css", "docs.js", "docs.css"])
def test_the_docs_files_are_served(client: httpx2.Client, name: str) -> None:
    answer = client.get(f"/docs/{name}")
    assert answer.status_code == 200
    kind = "text/javascript" if name.endswith(".js") else "text/css"
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_only_the_listed_files_are_served(client: httpx2.Client) -> None:
    for name in ("LICENSE", "VERSION", "..%2fdocs.js", "swagger-ui.css.map", "swagger-ui"):
        assert client.get(f"/docs/{name}").status_code == 404
    for name in ("docs.js", "index.html", "..%2fdocs.js", "nothing.js"):
        assert client.get(f"/static/{name}").status_code == 404


def test_the_vendored_version_is_recorded() -> None:
    folder = pages.STATIC / "swagger"
    version = re.search(r"swagger-ui-dist (5\.\d+\.\d+)", (folder / "VERSION").read_text())
    assert version is not None
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert version[1] in (folder / "swagger-ui-bundle.js").read_text(encoding="utf-8")

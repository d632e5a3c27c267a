"""The pages for people: whole without a network, and nothing in them runs by surprise."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest

from httpd import pages
from tests.httpd.conftest import Served
from tests.httpd.stand_in import StandIn

if TYPE_CHECKING:
    import httpx2


def test_the_newest_pictures_are_shown_with_prompt_and_link(
    served: Served, daemon: StandIn
) -> None:
    name = daemon.render(served.submit("a quiet lake at dawn")).images[0].filename
    page = served.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f'href="/api/images/{name}"' in page.text
    assert f'src="/api/thumbs/{name}"' in page.text
    assert "a quiet lake at dawn" in page.text
    assert f"{served.spool.incoming}/" in page.text


def test_a_prompt_cannot_become_markup(served: Served, daemon: StandIn) -> None:
    prompt = "<script>alert(1)</script>\" onload='x' {summary} %s &amp;"
    daemon.render(served.submit(prompt))
    page = served.client.get("/").text
    assert "<script" not in page
    assert "' onload" not in page
    assert prompt in unescape(page)


def test_a_long_prompt_is_cut(served: Served, daemon: StandIn) -> None:
    daemon.render(served.submit("word " * 3000))
    page = served.client.get("/").text
    assert len(page) < 10_000 + 2_000 * page.count("<figure>")
    assert "…" in page


def test_the_index_needs_no_script(client: httpx2.Client) -> None:
    page = client.get("/")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_fetches_nothing_from_elsewhere(client: httpx2.Client, path: str) -> None:
    page = client.get(path)
    assert "http" not in page.headers["content-security-policy"]
    sources = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert not [source for source in sources if "//" in source]
    for source in sources:
        if not source.startswith("data:"):
            assert client.get(f"/{source.lstrip('/')}").status_code == 200, source


def test_the_docs_run_no_inline_script(client: httpx2.Client) -> None:
    page = client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script>", page.text) == []
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
    assert client.get("/static/docs.js").status_code == 404


def test_the_vendored_version_is_recorded() -> None:
    folder = pages._STATIC / "swagger"
    version = re.search(r"swagger-ui-dist (5\.\d+\.\d+)", (folder / "VERSION").read_text())
    assert version is not None
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert version[1] in (folder / "swagger-ui-bundle.js").read_text(encoding="utf-8")

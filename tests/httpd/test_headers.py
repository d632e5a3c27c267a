"""Every answer, errors included, tells the browser to trust it with little."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from httpd.headers import SAFE

if TYPE_CHECKING:
    import httpx2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/docs", 200),
        ("GET", "/docs/docs.js", 200),
        ("GET", "/api/info", 200),
        ("GET", "/api/images", 200),
        ("GET", "/api/images/x.png", 404),
        ("GET", "/openapi.json", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/api/info", 405),
        ("POST", "/api/generate", 400),
        ("DELETE", "/api/session", 204),
    ],
)
def test_every_answer_has_them(client: httpx2.Client, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    for name, value in SAFE.items():
        assert response.headers.get_list(name) == [response.headers[name]], name
        if name != "Content-Security-Policy":
            assert response.headers[name] == value
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


def test_streams_have_them(client: httpx2.Client) -> None:
    with client.stream("GET", "/api/sse/gallery") as response:
        assert SAFE.items() <= {name: response.headers.get(name) for name in SAFE}.items()


def test_refusals_by_name_have_them(client: httpx2.Client) -> None:
    response = client.get("/", headers={"Host": "evil.example"})
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_run_scripts_and_styles_of_their_own_files_alone(
    client: httpx2.Client, path: str
) -> None:
    response = client.get(path)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", response.text)

"""Every error is problem JSON, whoever raised it."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from httpd.application import create_application
from spool import acceptance
from spool.layout import Spool
from tests.httpd.test_generate import refused

if TYPE_CHECKING:
    import httpx2


@pytest.fixture
def local(tmp_path: Path) -> TestClient:
    application = create_application(Spool.create(tmp_path / "spool"))
    return TestClient(application, base_url="http://localhost", raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/images/a/b", "/docs/none.js"])
def test_an_unknown_path_is_404(client: httpx2.Client, path: str) -> None:
    refused(client.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/generate", "POST"),
        ("PUT", "/api/jobs/x", "DELETE, GET, HEAD"),
        ("POST", "/api/images", "GET, HEAD"),
        ("OPTIONS", "/api/info", "GET, HEAD"),
        ("BREW", "/", "GET, HEAD"),
    ],
)
def test_a_method_the_path_does_not_take_is_405(
    client: httpx2.Client, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    refused(response, 405, method, allowed)
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, 507), (errno.EROFS, 503), (errno.EIO, 500)]
)
def test_a_disk_that_fails_is_told_apart(
    local: TestClient, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(number, "it failed")

    monkeypatch.setattr(acceptance, "admit", fail)
    refused(local.post("/api/generate", json={"prompt": "x"}), status, "it failed")


def test_a_spool_that_is_away_is_waited_for(local: TestClient, tmp_path: Path) -> None:
    elsewhere = (tmp_path / "spool").rename(tmp_path / "elsewhere")
    answer = local.post("/api/generate", json={"prompt": "x"})
    refused(answer, 503, "the spool is not there")
    assert answer.headers["retry-after"] == "30"
    refused(local.get("/api/info"), 503, "waited for")
    elsewhere.rename(tmp_path / "spool")
    assert local.post("/api/generate", json={"prompt": "x"}).status_code == 202


def test_a_fault_of_ours_is_500_without_its_traceback(
    local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("a secret path")

    monkeypatch.setattr(acceptance, "admit", fail)
    problem = refused(local.post("/api/generate", json={"prompt": "x"}), 500)
    assert "secret" not in problem["detail"]

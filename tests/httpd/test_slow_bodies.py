"""Bodies that come slowly, or never: an ASGI-level test, where the time limit can be set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from httpd import uploads
from httpd.application import create_application
from spool.layout import Spool

Receive = Callable[[], Awaitable[dict[str, Any]]]


def answer_to(spool: Spool, receive: Receive) -> tuple[int, dict[str, Any]]:
    """The status and body of the answer to a POST whose body `receive` gives."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/generate",
        "raw_path": b"/api/generate",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
    }
    application: Any = create_application(spool)
    asyncio.run(application(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body)


def test_a_body_that_does_not_arrive_in_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "BODY_SECONDS", 0.2)

    async def never() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    status, problem = answer_to(Spool.create(tmp_path / "spool"), never)
    assert (status, problem["title"]) == (408, "Too slow")


def test_a_client_that_hangs_up_is_no_fault_of_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    status, _ = answer_to(Spool.create(tmp_path / "spool"), gone)
    assert status == 400
    assert not caplog.records

"""What the server says of itself: models, queue, slots, health."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from httpd.application import create_application
from httpd.bodies import Info
from spool import ids
from spool.catalogue import SlotState
from spool.layout import Spool
from spool.settings import DiskSettings, Settings
from spool.states import scan
from tests.httpd.conftest import Served
from tests.httpd.stand_in import LORA, StandIn, parameter_schema, report
from tests.httpd.test_generate import refused


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def local(spool: Spool) -> TestClient:
    """A client of an application in this process, whose spool has no model."""
    return TestClient(create_application(spool), base_url="http://localhost")


def test_info_has_the_default_models_parameters(served: Served) -> None:
    info = served.client.get("/api/info").json()
    Info.model_validate(info, extra="forbid")
    assert (info["model_name"], info["output_format"]) == ("tiny", "png")
    assert info["parameter_schema"] == parameter_schema()
    assert info["model"] == info["models"][0]
    (lora,) = info["available_loras"]
    assert set(lora) == {"id", "name", "trigger_words", "weight", "trigger_weight"}
    assert lora["id"] == LORA
    assert info["suggested_prompts"] == ["a red circle"]
    assert (info["model"]["state"], info["model"]["error"]) == ("cold", None)
    assert [slot["name"] for slot in info["slots"]] == ["0"]


def test_info_counts_the_queue(served: Served, daemon: StandIn) -> None:
    running, _, _ = served.submit(), served.submit(), served.submit()
    daemon.begin(running)
    queue = served.client.get("/api/info").json()["queue"]
    assert queue == {"queued": 2, "processing": 1, "held": 0}


def test_info_works_before_any_daemon_came(local: TestClient) -> None:
    info = local.get("/api/info").json()
    Info.model_validate(info, extra="forbid")
    assert (info["model_name"], info["model"], info["parameter_schema"]) == (None, None, None)
    assert (info["models"], info["available_loras"], info["slots"]) == ([], [], [])


def test_it_is_alive_whatever_the_daemons_do(local: TestClient) -> None:
    assert local.get("/healthz").json() == {"status": "ok"}


def test_it_is_ready_while_a_slot_reports(local: TestClient, spool: Spool) -> None:
    refused(local.get("/readyz"), 503, "no daemon has reported yet")
    report(spool)
    assert local.get("/readyz").json() == {"status": "ok"}
    report(spool, SlotState.STOPPED)
    refused(local.get("/readyz"), 503, "0 is stopped")
    report(spool, heartbeat=ids.created_at("20200101T000000000-000000"))
    refused(local.get("/readyz"), 503, "last heard of")


def test_it_is_not_ready_and_takes_no_job_while_the_disk_is_full(spool: Spool) -> None:
    report(spool)
    full = Settings(disk=DiskSettings(floor_bytes=1 << 60))
    local = TestClient(create_application(spool, settings=full), base_url="http://localhost")
    refused(local.get("/readyz"), 503, "the floor is")
    refused(local.post("/api/generate", json={"prompt": "x"}), 507, "the floor is")
    assert local.get("/healthz").status_code == 200
    assert scan(spool.queued) == []


def test_it_is_not_ready_while_the_spool_cannot_be_written(local: TestClient, spool: Spool) -> None:
    report(spool)
    spool.tmp.rename(spool.root / "elsewhere")
    refused(local.get("/readyz"), 503, "cannot be written")

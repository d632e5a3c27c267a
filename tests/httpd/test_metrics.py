"""The numbers for Prometheus: true, parseable, documented, and there when the spool is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import prometheus_client
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from starlette.testclient import TestClient

from httpd.application import create_application
from httpd.tokens import Tokens
from spool.layout import Spool
from spool.states import Status
from tests.httpd.conftest import Served, start_server, stop_server
from tests.httpd.stand_in import report
from tests.services import running_daemon, wait_for
from tests.spool.samples import hold_job, queue_job

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"\bgenzo_[a-z_]+\b")
QUICK: dict[str, Any] = {"steps": 4, "width": 64, "height": 64}
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0, text/plain; q=0.5"}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def local(spool: Spool) -> TestClient:
    return TestClient(create_application(spool), base_url="http://localhost")


def scraped(client: httpx2.Client | TestClient) -> list[Metric]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return list(plain_text(answer.text))


def value(client: httpx2.Client | TestClient, name: str, **labels: str) -> float | None:
    """The one sample of this name that has all of `labels`; None if there is none."""
    found = [
        sample.value
        for family in scraped(client)
        for sample in family.samples
        if sample.name == name and sample.labels.items() >= labels.items()
    ]
    assert len(found) <= 1, f"{name} {labels}: {found}"
    return found[0] if found else None


@pytest.fixture(scope="module")
def genzo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A real daemon and a real server that have finished two jobs of three pictures."""
    spool = Spool.create(tmp_path_factory.mktemp("metrics") / "spool")
    with running_daemon(spool):
        served = start_server(spool)
        first, second = served.submit(**QUICK), served.submit(**QUICK, count=2)
        for job_id in (first, second):
            wait_for(spool.record(job_id).exists, what=job_id)
        yield served
        assert stop_server(served) == 0


def test_after_two_jobs_the_counters_say_so(genzo: Served) -> None:
    def ended() -> float | None:
        return value(genzo.client, "genzo_jobs_ended_total", slot="0", status="completed")

    wait_for(lambda: ended() == 2, seconds=30, what="the daemon's next report")
    client = genzo.client
    assert value(client, "genzo_jobs_ended_total", status="failed") == 0
    assert value(client, "genzo_pictures_published_total", slot="0") == 3
    assert value(client, "genzo_denoising_steps_total", slot="0") == 12
    assert (value(client, "genzo_rendering_seconds_total", slot="0") or 0) > 0
    assert value(client, "genzo_model_swaps_total", slot="0") == 0
    assert value(client, "genzo_slots_alive") == 1
    assert value(client, "genzo_model_state", model="embedded", state="loaded") == 1
    assert (value(client, "genzo_slot_heartbeat_age_seconds", slot="0") or 99) < 60
    assert (value(client, "genzo_slot_resident_memory_bytes", slot="0") or 0) > 1 << 27
    assert (value(client, "genzo_disk_free_bytes") or 0) > 0
    assert value(client, "genzo_jobs", status="queued") == 0


def test_connections_and_streams_are_counted(genzo: Served) -> None:
    before = value(genzo.client, "genzo_http_connections")
    assert before is not None
    with genzo.listen("gallery"):
        assert value(genzo.client, "genzo_http_streams", of="gallery") == 1
        assert value(genzo.client, "genzo_http_streams", of="job") == 0
        assert value(genzo.client, "genzo_http_connections") == before + 1


def test_openmetrics_is_sent_to_who_accepts_it(genzo: Served) -> None:
    answer = genzo.client.get("/metrics", headers=OPENMETRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    parsed = openmetrics(answer.text)  # type: ignore[no-untyped-call]
    families = {family.name for family in parsed}
    assert families == {family.name.removesuffix("_total") for family in scraped(genzo.client)}


def samples_of(client: httpx2.Client) -> set[str]:
    return {
        word
        for family in scraped(client)
        for word in [family.name + "_total" * (family.type == "counter")]
        if word.startswith("genzo_")
    }


def test_the_page_describes_every_metric_and_no_other(genzo: Served) -> None:
    table = re.findall(r"^\| `(genzo_\w+)`", (DOCS / "monitoring.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(samples_of(genzo.client))


def test_the_alerts_name_only_metrics_that_there_are(genzo: Served) -> None:
    document: Any = yaml.safe_load((DOCS / "genzo.rules.yml").read_text())
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        named = set(NAME.findall(rule["expr"]))
        assert named, rule
        assert named <= samples_of(genzo.client), rule["alert"]
        assert rule["annotations"]["summary"]


def test_waiting_and_held_jobs_are_counted_and_the_oldest_that_may_start_has_an_age(
    local: TestClient, spool: Spool
) -> None:
    assert value(local, "genzo_oldest_job_wait_seconds") == 0
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    deferred = queue_job(spool, not_before=tomorrow)
    hold_job(spool)
    assert value(local, "genzo_oldest_job_wait_seconds") == 0
    path = spool.queued / str(deferred.name)
    old = "50-20200101T000000000-000000.0.json"
    path.rename(spool.queued / old)
    assert value(local, "genzo_oldest_job_wait_seconds") == 0
    document = json.loads((spool.queued / old).read_bytes())
    del document["request"]["not_before"]
    (spool.queued / old).write_text(json.dumps(document))
    assert (value(local, "genzo_oldest_job_wait_seconds") or 0) > 365 * 86_400
    counts = {status: value(local, "genzo_jobs", status=status) for status in ("queued", "held")}
    assert counts == {Status.QUEUED: 1, Status.HELD: 1}


def test_refused_files_are_counted_in_sub_folders_too(local: TestClient, spool: Spool) -> None:
    (spool.rejected / "a").mkdir()
    for name in ("x.json", "x.json.problem.json", "a/y.json.problem.json"):
        (spool.rejected / name).touch()
    assert value(local, "genzo_rejected_files") == 2


def test_a_slot_that_died_has_an_age_and_no_memory(local: TestClient, spool: Spool) -> None:
    report(spool, heartbeat="2026-01-01T00:00:00.000Z")
    assert value(local, "genzo_slots_alive") == 0
    assert (value(local, "genzo_slot_heartbeat_age_seconds") or 0) > 60
    assert value(local, "genzo_slot_resident_memory_bytes") is None
    report(spool, heartbeat="yesterday")
    assert value(local, "genzo_slot_heartbeat_age_seconds") is None
    assert value(local, "genzo_slot_state", state="idle") == 1


def test_a_copy_of_a_slots_file_is_not_told_twice(local: TestClient, spool: Spool) -> None:
    report(spool)
    (spool.slots / "0 (copy).json").write_bytes((spool.slots / "0.json").read_bytes())
    assert value(local, "genzo_slots_alive") == 1
    assert value(local, "genzo_slot_state", slot="0", state="idle") == 1


def test_a_spool_that_is_gone_or_broken_leaves_the_rest(local: TestClient, spool: Spool) -> None:
    spool.active.rename(spool.root / "elsewhere")
    assert value(local, "genzo_jobs", status="queued") is None
    assert value(local, "genzo_rejected_files") == 0
    assert value(local, "genzo_spool_available") == 1
    spool.root.rename(spool.root.with_name("gone"))
    assert value(local, "genzo_spool_available") == 0
    assert value(local, "genzo_disk_free_bytes") is None
    assert (value(local, "process_resident_memory_bytes") or 0) > 0


def test_it_asks_for_a_token_where_there_are_any(spool: Spool) -> None:
    tokens = Tokens({"prometheus": "p" * 40})
    closed = TestClient(create_application(spool, tokens=tokens), base_url="http://localhost")
    assert closed.get("/metrics").status_code == 401
    shown = closed.get("/metrics", headers={"Authorization": f"Bearer {'p' * 40}"})
    assert shown.status_code == 200


def test_the_librarys_global_registry_has_nothing_of_ours(local: TestClient) -> None:
    scraped(local)
    assert not [family for family in prometheus_client.REGISTRY.collect() if "genzo" in family.name]

from __future__ import annotations

import dataclasses
import json

import pytest

from spool import ids
from spool.catalogue import (
    Catalogue,
    SlotReport,
    SlotState,
    publish_report,
    read_reports,
)
from spool.layout import Spool
from spool.tally import Footprint, Tally
from tests.spool.samples import MODEL, report

OTHER = dataclasses.replace(MODEL, name="other", default=False)
ANOTHER = dataclasses.replace(MODEL, name="another", default=True)
PARTS: dict[str, dict[str, object]] = {
    "tally": {"since": ids.now()},
    "memory": {"resident_bytes": 1},
}
"""The least that each part of a report tells."""


def test_a_report_is_read_as_it_was_published(spool: Spool) -> None:
    published = dataclasses.replace(report(), state=SlotState.RENDERING, job_id="x", device="cuda")
    publish_report(spool, published)
    assert read_reports(spool) == (published,)


def test_a_report_replaces_the_slots_last_one(spool: Spool) -> None:
    publish_report(spool, report())
    publish_report(spool, dataclasses.replace(report(), state=SlotState.STOPPED))
    assert [found.state for found in read_reports(spool)] == [SlotState.STOPPED]
    assert list(spool.tmp.iterdir()) == []


def test_reports_come_in_the_order_of_the_slots(spool: Spool) -> None:
    for slot in ("gpu1", "cpu", "gpu0"):
        publish_report(spool, report(slot))
    assert [found.slot for found in read_reports(spool)] == ["cpu", "gpu0", "gpu1"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"\xff",
        b'{"format": 1}',
        b'{"format": 1, "models": [1]}',
        report().encode().replace(b'"format": 1', b'"format": 2'),
        report().encode().replace(b'"idle"', b'"dancing"'),
        report().encode().replace(b'"pid"', b'"process"'),
    ],
)
def test_a_report_that_cannot_be_read_is_passed_over_and_kept(spool: Spool, content: bytes) -> None:
    publish_report(spool, report("gpu1"))
    (spool.slots / "gpu0.json").write_bytes(content)
    assert [found.slot for found in read_reports(spool)] == ["gpu1"]
    assert (spool.slots / "gpu0.json").read_bytes() == content


def test_a_report_of_a_daemon_that_told_no_states_is_read(spool: Spool) -> None:
    document = json.loads(report().encode())
    del document["unusable"], document["models"][0]["state"], document["models"][0]["error"]
    assert SlotReport.decode(json.dumps(document).encode()) == report()


def test_a_report_tells_what_the_slot_did_and_how_much_memory_it_takes(spool: Spool) -> None:
    tally = Tally(since=ids.now(), completed=2, pictures=5, rendering_seconds=1.5)
    told = dataclasses.replace(report(), tally=tally, memory=Footprint(1 << 30))
    publish_report(spool, told)
    assert read_reports(spool) == (told,)


def test_a_report_of_an_older_or_a_newer_daemon_is_read(spool: Spool) -> None:
    document = json.loads(report().encode())
    del document["tally"], document["memory"]
    assert SlotReport.decode(json.dumps(document).encode()) == report()
    since = ids.now()
    tally = {"since": since, "completed": 1, "cats_drawn": 3}
    newer = {**document, "mood": "good", "tally": tally, "memory": {"resident_bytes": 1, "l2": 2}}
    read = SlotReport.decode(json.dumps(newer).encode())
    assert read.tally == Tally(since=since, completed=1)
    assert read.memory == Footprint(1)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("tally", "completed"),
        ("tally", "rendering_seconds"),
        ("memory", "resident_bytes"),
        ("memory", "gpu_free_bytes"),
    ],
)
@pytest.mark.parametrize("wrong", [-1, "many", "5", True, [], float("nan"), float("inf")])
def test_a_report_whose_numbers_are_none_is_passed_over(
    spool: Spool, part: str, name: str, wrong: object
) -> None:
    document = json.loads(report().encode())
    document[part] = {**PARTS[part], name: wrong}
    (spool.slots / "gpu0.json").write_text(json.dumps(document))
    assert read_reports(spool) == ()


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("tally", {"completed": 1}),
        ("tally", {"since": 1}),
        ("tally", {**PARTS["tally"], "completed": None}),
        ("tally", {**PARTS["tally"], "completed": 1.5}),
        ("tally", {**PARTS["tally"], "model_swap_seconds": 10**400}),
        ("memory", {}),
        ("memory", {"resident_bytes": None}),
        ("memory", {"resident_bytes": 1.5}),
        *((part, wrong) for part in PARTS for wrong in ([], ["since"], "since", 1, True)),
    ],
)
def test_a_report_whose_counts_are_not_told_right_is_passed_over(
    spool: Spool, part: str, wrong: object
) -> None:
    document = json.loads(report().encode())
    document[part] = wrong
    (spool.slots / "gpu0.json").write_text(json.dumps(document))
    assert read_reports(spool) == ()


def test_a_report_carries_its_format() -> None:
    assert json.loads(report().encode())["format"] == 1
    with pytest.raises(ValueError, match="format"):
        SlotReport.decode(report().encode().replace(b'"format": 1', b'"format": 9'))


def test_a_spool_whose_daemons_never_ran_has_an_empty_catalogue(spool: Spool) -> None:
    catalogue = Catalogue.read(spool)
    assert catalogue.models == {}
    assert catalogue.default is None


def test_the_models_stay_when_their_daemon_has_stopped(spool: Spool) -> None:
    publish_report(spool, dataclasses.replace(report(), state=SlotState.STOPPED))
    assert list(Catalogue.read(spool).models) == ["tiny"]


def test_of_two_models_of_one_name_the_first_slots_counts() -> None:
    renamed = dataclasses.replace(OTHER, name="tiny")
    catalogue = Catalogue.of((report("gpu0", MODEL), report("gpu1", renamed, OTHER)))
    assert catalogue.models == {"tiny": MODEL, "other": OTHER}


def test_the_model_marked_default_is_the_default_else_the_first() -> None:
    assert Catalogue.of((report("a", OTHER, ANOTHER),)).default == ANOTHER
    assert Catalogue.of((report("a", OTHER),)).default == OTHER

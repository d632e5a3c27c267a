from __future__ import annotations

import random
import re
import secrets
import threading
import time
from pathlib import Path

import pytest

from spool import acceptance, drops, ids
from spool.layout import Spool
from spool.patience import Patience
from spool.states import scan
from spool.taking import Taker
from tests.spool.dropbox import CATALOGUE, JOB
from tests.spool.processes import in_children
from tests.spool.samples import draw

JOB_ID = "20261123T121728417-7f3a9c"


def test_an_id_says_when_it_was_drawn() -> None:
    before = time.time_ns() // 1_000_000
    job_id = ids.Clock().draw()
    after = time.time_ns() // 1_000_000
    assert ids.is_job_id(job_id)
    assert before <= ids.created_ms(job_id) <= after + 1


def test_an_id_is_safe_in_a_url_and_in_a_file_name() -> None:
    assert re.fullmatch(r"[0-9A-Za-z-]{25}", ids.Clock().draw())


def test_the_instant_of_an_id_is_told_in_iso_8601() -> None:
    assert ids.created_at(JOB_ID) == "2026-11-23T12:17:28.417Z"
    assert ids.created_ms(JOB_ID) == 1795436248417


def test_the_id_alone_gives_the_shard() -> None:
    assert str(ids.shard(JOB_ID)) == "20261123/12"


def test_an_id_for_an_instant_names_that_instant() -> None:
    assert ids.at(1795436248007).startswith("20261123T121728007-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20261123T121728417-7f3a9",
        "20261123T121728417-7F3A9C",
        "20261123T121728417-7f3a9c\n",
        " 20261123T121728417-7f3a9c",
        "20261323T121728417-7f3a9c",
        "20260230T121728417-7f3a9c",
        "20261123T241728417-7f3a9c",
        "20261123T121760417-7f3a9c",
        "00001123T121728417-7f3a9c",
        "２0261123T121728417-7f3a9c",
        "../../../../../etc/passwd",
    ],
)
def test_what_is_no_id_is_told_apart(text: str) -> None:
    assert not ids.is_job_id(text)


def test_ids_ascend_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ids.Clock()
    first = clock.draw()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    later = [clock.draw() for _ in range(1000)]
    assert [first, *later] == sorted({first, *later})


def test_ids_of_one_millisecond_ascend() -> None:
    clock = ids.Clock()
    drawn = [clock.draw() for _ in range(5000)]
    assert drawn == sorted(set(drawn))


def test_threads_never_draw_the_same_instant() -> None:
    clock = ids.Clock()
    drawn: list[str] = []

    def draw_many() -> None:
        drawn.extend(clock.draw() for _ in range(500))

    threads = [threading.Thread(target=draw_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job_id[:18] for job_id in drawn}) == 2000


@pytest.mark.parametrize("kept_as", ["record", "events"])
def test_a_new_process_begins_after_the_newest_id_on_the_disk(spool: Spool, kept_as: str) -> None:
    newest = ids.at(time.time_ns() // 1_000_000 + 3_600_000)
    path = spool.record(newest) if kept_as == "record" else spool.events(newest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert Spool.open(spool.root).clock.draw() > newest


def test_a_strange_file_among_the_records_does_not_stop_the_clock(spool: Spool) -> None:
    (spool.done / "README").touch()
    (spool.done / "99999999").mkdir()
    (spool.done / "99999999" / "notes").touch()
    assert ids.is_job_id(spool.clock.draw())


def _draw_alike(root: str) -> list[str]:
    # All processes live in the same instant and have but two random suffixes.
    spool = Spool.open(Path(root))
    spool.clock._last_ms = 1795436248417
    time.time_ns = lambda: 1_000_000_000
    secrets.token_hex = lambda nbytes=None: random.choice(("aaaaaa", "bbbbbb"))
    return [draw(spool).job_id for _ in range(50)]


def test_ids_are_unique_among_processes_by_exclusive_creation(spool: Spool) -> None:
    results = in_children(_draw_alike, [(str(spool.root),)] * 4)
    drawn = [job_id for result in results for job_id in result]
    assert len(set(drawn)) == len(drawn) == 200


def test_a_wished_id_is_kept_once(spool: Spool) -> None:
    wish = ids.Clock().draw()
    assert draw(spool, wish=wish).job_id == wish
    assert draw(spool, wish=wish).job_id != wish


def test_the_id_of_a_finished_job_is_not_given_again(spool: Spool) -> None:
    wish = ids.Clock().draw()
    spool.record(wish).parent.mkdir(parents=True)
    spool.record(wish).touch()
    assert draw(spool, wish=wish).job_id != wish


def test_the_id_of_a_queued_job_is_not_given_again_when_its_progress_file_is_lost(
    spool: Spool,
) -> None:
    ticket = draw(spool)
    acceptance.admit(spool, ticket)
    spool.events(ticket.job_id).unlink()
    path = spool.incoming / f"{ticket.job_id}.json"
    path.write_text(JOB)
    Taker(spool, lambda: CATALOGUE, Patience(spool)).take([(path, drops.look(spool, path))])
    assert len({name.job_id for name in scan(spool.queued)}) == 2


def test_a_wish_for_the_far_future_is_not_granted_and_leaves_ids_for_others(spool: Spool) -> None:
    wish = "99991231T235959999-aaaaaa"
    assert draw(spool, wish=wish).job_id != wish
    assert Spool.open(spool.root).clock.draw() < "9999"


@pytest.mark.parametrize("wish", ["../../etc/passwd", "hello", "20261323T121728417-7f3a9c"])
def test_a_wish_that_is_no_id_is_not_granted(spool: Spool, wish: str) -> None:
    assert ids.is_job_id(draw(spool, wish=wish).job_id)

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import acceptance, drops, durable, intake, patience
from spool.catalogue import Catalogue
from spool.intake import Intake
from spool.layout import Spool
from spool.settings import DiskSettings, Settings
from spool.tickets import Ticket
from tests.services import wait_for
from tests.spool.crashes import killed_at_each_effect
from tests.spool.dropbox import (
    CATALOGUE,
    JOB,
    Log,
    drop_names,
    left_over,
    logged,
    queued_tickets,
    reason,
    running,
)
from tests.spool.processes import NOBODY, as_root, become, child


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as handler:
        yield handler


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round takes or refuses all that is there."""
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(patience, "REFUSE_SECONDS", 0.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running intake that waits for nothing long."""
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.1)
    monkeypatch.setattr(patience, "REFUSE_SECONDS", 0.3)
    monkeypatch.setattr(intake, "SCAN_SECONDS", 0.3)
    monkeypatch.setattr(intake, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(intake, "_TAKE_OVER_SECONDS", 0.1)


def _take_all(spool: Spool, catalogue: Callable[[], Catalogue] = lambda: CATALOGUE) -> None:
    """What a new intake does first."""
    drops.restore_set_aside(spool)
    Intake(spool, catalogue)._round()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", ["a.json", "n" * 255])
def test_a_kill_at_any_line_of_taking_a_drop_neither_loses_nor_doubles_it(
    tmp_path: Path, name: str
) -> None:
    numbers = iter(range(1000))

    def dropped() -> Spool:
        spool = Spool.create(tmp_path / str(next(numbers)))
        (spool.incoming / name).write_text(JOB)
        return spool

    waiting = []
    for spool in killed_at_each_effect(dropped, _take_all):
        waiting.append(len(queued_tickets(spool)) == 0)
        assert not waiting[-1] or left_over(spool)
        _take_all(spool)
        assert drop_names(spool) == [name]
        assert left_over(spool) == []
        assert list(spool.pending.iterdir()) == []
    assert {True, False} == set(waiting)
    assert len(waiting) > 15


@pytest.mark.usefixtures("at_once")
def test_a_kill_at_any_line_of_refusing_a_drop_keeps_the_file_and_the_reason(
    tmp_path: Path,
) -> None:
    numbers = iter(range(1000))

    def dropped() -> Spool:
        spool = Spool.create(tmp_path / str(next(numbers)))
        (spool.incoming / "a.json").write_text("hello")
        return spool

    for spool in killed_at_each_effect(dropped, _take_all):
        _take_all(spool)
        assert left_over(spool) == []
        rejected = sorted(path.name for path in spool.rejected.iterdir())
        assert rejected == ["a.json", "a.json.problem.json"]
        assert (spool.rejected / "a.json").read_text() == "hello"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("first", [JOB, "hello"])
def test_a_file_that_is_replaced_while_it_is_taken_is_taken_too(spool: Spool, first: str) -> None:
    path = spool.incoming / "a.json"
    path.write_text(first)
    replacement = spool.incoming / ".new"
    replacement.write_text('{"prompt": "the second"}')
    real = acceptance.is_known

    def replace_between_read_and_removal(*arguments: Any) -> bool:
        if replacement.exists():
            replacement.rename(path)
        return real(*arguments)

    taker = Intake(spool, lambda: CATALOGUE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceptance, "is_known", replace_between_read_and_removal)
        taker._round()
    taker._round()
    prompts = [ticket.request.prompt for ticket in queued_tickets(spool)]
    assert prompts == (["a red circle"] if first == JOB else []) + ["the second"]
    assert left_over(spool) == []


@pytest.mark.usefixtures("at_once")
def test_a_job_without_a_catalogue_is_accepted_unresolved(spool: Spool) -> None:
    (spool.incoming / "a.json").write_text(JOB)
    _take_all(spool, Catalogue)
    assert [ticket.job for ticket in queued_tickets(spool)] == [None]


@pytest.mark.usefixtures("at_once")
def test_a_refused_file_that_is_sent_again_is_acknowledged_and_refused_no_more(
    spool: Spool,
) -> None:
    for _ in range(2):
        (spool.incoming / "a.json").write_text("hello")
        os.utime(spool.incoming / "a.json", (10**9, 10**9))
        _take_all(spool)
    assert left_over(spool) == []
    names = sorted(path.name for path in spool.rejected.iterdir())
    assert names == ["a.json", "a.json.problem.json"]


@pytest.mark.usefixtures("at_once")
def test_a_file_that_fails_for_our_own_fault_stops_no_other_and_is_tried_again(
    spool: Spool, log: Log
) -> None:
    for name in ("a.json", "b.json", "c.json"):
        (spool.incoming / name).write_text(JOB)
    draw = acceptance.draw_ticket

    def faulty(*arguments: Any) -> Ticket:
        name = arguments[3].drop_name
        if name == "a.json":
            raise RuntimeError("a fault")
        if name == "c.json":
            raise PermissionError(13, "another")
        return draw(*arguments)

    taker = Intake(spool, lambda: CATALOGUE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceptance, "draw_ticket", faulty)
        for _ in range(3):
            taker._rescan()
            taker._round()
    assert drop_names(spool) == ["b.json"]
    assert len([line for line in log.lines if "stays until it can be taken" in line]) == 2
    _take_all(spool)
    assert drop_names(spool) == ["a.json", "b.json", "c.json"]
    assert list(spool.rejected.iterdir()) == []


@pytest.mark.usefixtures("at_once")
def test_a_full_disk_in_the_middle_of_an_admission_is_made_good_by_the_next_scan(
    spool: Spool,
) -> None:
    (spool.incoming / "a.json").write_text(JOB)
    rename = os.rename

    def full(source: Any, target: Any, **options: Any) -> None:
        if Path(target).parent == spool.queued:
            raise OSError(28, "injected")
        rename(source, target, **options)

    taker = Intake(spool, lambda: CATALOGUE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", full)
        with pytest.raises(OSError, match="injected"):
            taker._round()
    assert queued_tickets(spool) == []
    taker._rescan()
    taker._round()
    assert drop_names(spool) == ["a.json"]
    assert left_over(spool) == []


@pytest.mark.usefixtures("quick")
def test_folders_without_end_stop_no_intake(spool: Spool, log: Log) -> None:
    subprocess.run(["mkdir", "-p", "d/" * 1500], cwd=spool.incoming, check=True)
    try:
        with running(spool):
            time.sleep(0.2)
            (spool.incoming / "a.json").write_text(JOB)
            wait_for(lambda: drop_names(spool) == ["a.json"], seconds=10)
    finally:
        subprocess.run(["rm", "-r", spool.incoming / "d"], check=True)
    assert not [line for line in log.lines if "begins anew" in line]


@pytest.mark.usefixtures("quick")
def test_an_intake_that_fails_waits_before_it_begins_anew(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    began: list[float] = []

    def fail(_: Spool) -> list[str]:
        began.append(time.monotonic())
        raise RuntimeError("a fault")

    with running(spool) as thread:
        wait_for(thread.is_alive)
        monkeypatch.setattr(acceptance, "recover_admissions", fail)
        thread._rescan()
        for number in range(5):
            (spool.incoming / f"{number}.json").write_text(JOB)
        wait_for(lambda: len(began) >= 4, seconds=10)
        monkeypatch.undo()
    waits = [after - before for before, after in itertools.pairwise(began)]
    assert min(waits) >= 0.09


@pytest.mark.usefixtures("quick")
def test_an_intake_ends_soon_in_whatever_state_it_is(spool: Spool) -> None:
    with running(spool) as working, running(spool) as waiting:
        time.sleep(0.3)
        for thread in (waiting, working):
            began = time.monotonic()
            thread.stop()
            thread.join(5)
            assert time.monotonic() - began < 1


def _serve(root: str) -> None:
    thread = Intake(Spool.open(Path(root)), lambda: CATALOGUE)
    thread.start()
    thread.join()


@pytest.mark.usefixtures("quick")
def test_when_the_working_intake_is_killed_another_takes_over(spool: Spool) -> None:
    with child(_serve, str(spool.root)) as process:
        (spool.incoming / "first.json").write_text(JOB)
        wait_for(lambda: drop_names(spool) == ["first.json"], seconds=10)
        with running(spool) as other:
            (spool.incoming / "second.json").write_text(JOB)
            wait_for(lambda: len(drop_names(spool)) == 2, seconds=10)
            assert other._patience.waiting == []
            assert other._scan_due == 0.0, "both work at once"
            process.kill()
            process.join()
            (spool.incoming / "third.json").write_text(JOB)
            wait_for(lambda: len(drop_names(spool)) == 3, seconds=10)
    assert drop_names(spool) == ["first.json", "second.json", "third.json"]


@pytest.mark.usefixtures("quick")
def test_no_drop_is_lost_or_doubled_while_intakes_are_killed(spool: Spool) -> None:
    total = 120
    numbers = iter(range(total))
    deadline = time.monotonic() + 30
    kills = 0
    while len(queued_tickets(spool)) < total or left_over(spool):
        assert time.monotonic() < deadline
        with child(_serve, str(spool.root)), child(_serve, str(spool.root)):
            for number in (next(numbers, None) for _ in range(12)):
                if number is not None:
                    temporary = spool.incoming / f".{number}"
                    temporary.write_text(JOB)
                    temporary.rename(spool.incoming / f"{number}.json")
            # Longer and longer: on a busy machine an intake that lives for 0.15 s does nothing.
            time.sleep(0.15 + kills * 0.01)
        kills += 2
    _take_all(spool)
    assert drop_names(spool) == sorted(f"{number}.json" for number in range(total))
    assert list(spool.rejected.iterdir()) == []
    assert list(spool.pending.iterdir()) == []
    assert kills >= 10


def _serve_as_nobody(root: str, log: str) -> None:
    become(NOBODY)
    logging.basicConfig(filename=log, level=logging.INFO, force=True)
    _serve(root)


@as_root
@pytest.mark.usefixtures("quick")
def test_an_intake_without_roots_rights_meets_the_files_of_others(public_directory: Path) -> None:
    spool = Spool.create(public_directory / "spool")
    (spool.incoming / "others").mkdir(mode=0o755)
    for path in (spool.root, *spool.root.rglob("*")):
        if path.name != "others":
            os.chown(path, NOBODY, NOBODY)
    log = public_directory / "log"

    def drop(name: str, mode: int, content: str = JOB) -> None:
        path = spool.incoming / name
        path.write_text(content)
        path.chmod(mode)

    with child(_serve_as_nobody, str(spool.root), str(log)):
        drop("open.json", 0o644)
        drop("closed.json", 0o000)
        drop("private.json", 0o600)
        drop("bad.json", 0o644, "hello")
        drop("others/good.json", 0o644)
        drop("others/bad.json", 0o644, "hello")
        wait_for(lambda: len(drop_names(spool)) == 2, seconds=10, what="the jobs")
        wait_for(
            lambda: len(list(spool.rejected.rglob("*.problem.json"))) == 4,
            seconds=10,
            what="the refusals",
        )
        wait_for(lambda: log.read_text().count("stays: its folder") == 2, seconds=10)
        time.sleep(1.0)  # some scans more

    assert drop_names(spool) == ["open.json", "others/good.json"]
    assert left_over(spool) == ["others/bad.json", "others/good.json"]
    kept = sorted(p.relative_to(spool.rejected).as_posix() for p in spool.rejected.rglob("*"))
    assert kept == [
        "bad.json",
        "bad.json.problem.json",
        "closed.json",
        "closed.json.problem.json",
        "others",
        "others/bad.json.problem.json",
        "private.json",
        "private.json.problem.json",
    ]
    assert "chmod g+r" in reason(spool, "closed.json")
    assert "chmod g+r" in reason(spool, "private.json")
    assert (spool.rejected / "bad.json").read_text() == "hello"
    lines = log.read_text()
    assert lines.count("stays: its folder") == 2
    assert "Traceback" not in lines
    assert "left for the next scan" not in lines


@as_root
@pytest.mark.usefixtures("at_once")
def test_on_a_full_disk_a_drop_waits_and_leaves_no_trace_of_its_trials(small_disk: Path) -> None:
    spool = Spool.create(small_disk / "spool")
    path = spool.incoming / "a.json"
    path.write_text(JOB)
    filler = small_disk / "filler"
    with filler.open("wb") as file, pytest.raises(OSError, match="No space left"):
        durable.write_all(file.fileno(), b"x" * 2**20)
    before = {path for path in spool.root.rglob("*") if path.is_file()}
    taker = Intake(spool, lambda: CATALOGUE, Settings(disk=DiskSettings(floor_bytes=0)))
    for _ in range(3):
        taker._rescan()
        with pytest.raises(OSError, match="No space left"):
            taker._round()
    after = {path for path in spool.root.rglob("*") if path.is_file()}
    assert {path for path in after - before if path.suffix != ".lock"} == set()
    assert path.read_text() == JOB
    filler.unlink()
    taker._rescan()
    taker._round()
    assert drop_names(spool) == ["a.json"]
    assert left_over(spool) == []

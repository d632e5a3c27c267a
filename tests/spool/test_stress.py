"""A storm of kills that fits into the suite, and broken daemons that the witnesses must convict."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from spool import durable
from spool.gallery import PictureName
from tests.stress.board import Board
from tests.stress.ledger import Entry, Fact, Ledger
from tests.stress.storm import Plan, run
from tests.stress.verdict import Result
from tests.stress.worker import Run, Worker


def _storm(plan: Plan, home: Path) -> Result:
    """Run a storm in a process of its own, whose forks are small and inherit nothing of ours."""
    clean = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=clean) as processes:
        return processes.submit(run, plan, home).result(timeout=120)


def test_nothing_is_lost_or_doubled_while_daemons_and_clients_are_killed(tmp_path: Path) -> None:
    result = _storm(Plan(claimers=4, jobs=500, kills=100, seconds=20, seed=1123), tmp_path)
    assert result.is_clean, f"\n{result}"
    assert sum(result.kills.values()) >= 60
    assert result.restarted_runs > 10
    assert result.released > 0
    assert result.cancelled > 0
    assert result.completed > 400


class Careless(Worker):
    """Queues what it runs once more, now and then, and publishes over what is there."""

    def _start(self, run: Run) -> None:
        super()._start(run)
        if self._chance.random() < 0.3:
            again = self._spool.queued / str(run.claim.ticket.name)
            with contextlib.suppress(FileExistsError):
                os.link(run.claim.path, again)

    def _create(self, name: PictureName, png: bytes) -> bool:
        super()._create(name, png)
        durable.replace(name.picture(self._spool), png, scratch=self._spool.tmp, durable=False)
        return True


class Forgetful(Worker):
    """Drops a ticket now and then."""

    def _start(self, run: Run) -> None:
        super()._start(run)
        if run.number % 10 == 0:
            run.claim.path.unlink()


def _brief(worker: type[Worker]) -> Plan:
    # Two tickets of one job may leave one behind that no one ever takes up.
    return Plan(claimers=4, jobs=60, kills=5, seconds=4, calm_seconds=3, worker=worker)


def test_a_daemon_that_runs_a_job_twice_and_replaces_pictures_is_convicted(tmp_path: Path) -> None:
    result = _storm(_brief(Careless), tmp_path)
    assert any("while" in sentence for sentence in result.doubles)
    assert any("published" in sentence for sentence in result.duplicates)
    assert any("other bytes" in sentence for sentence in result.faults)
    assert not result.is_clean


def test_a_daemon_that_drops_a_ticket_is_convicted(tmp_path: Path) -> None:
    result = _storm(_brief(Forgetful), tmp_path)
    assert result.lost
    assert not result.is_clean


def test_the_board_passes_over_the_dead_and_the_dying(tmp_path: Path) -> None:
    board = Board.create(tmp_path / "board", 3)
    child = os.fork()
    if child == 0:
        board.enter(1)
        board.runs(1, at=7)
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    board.enter(0)
    assert board.runs(0, at=7) == []
    os.waitpid(child, 0)
    assert board.runs(0, at=7) == []
    board.enter(2)
    assert board.runs(2, at=9, behind=7) == [os.getpid()]
    assert board.runs(2, at=9) == []


def test_the_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.note(Fact.PUBLISHED, "job", 1)
    ledger.note(Fact.STARTED, "job")
    pid = os.getpid()
    assert list(ledger.read()) == [
        Entry(Fact.PUBLISHED, "job", "1", pid),
        Entry(Fact.STARTED, "job", "-", pid),
    ]

"""The storm: processes that are killed at random moments and begun anew at once.

Every process is a fork of this one, made before it takes any lock, so that a restart costs
milliseconds. Only this process waits for them, and clears a dead one's cell of the board.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from spool.acceptance import recover_admissions
from spool.claims import Slot
from spool.layout import Spool
from spool.states import job_ids_with_tickets
from tests.stress.board import Board, Phase
from tests.stress.clients import Operator, Submitter
from tests.stress.ledger import Ledger
from tests.stress.verdict import Result, judge
from tests.stress.worker import Worker

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_LONGEST_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Plan:
    """How much of a storm; `seconds` bounds it, `seed` repeats its schedule.

    Once no one is killed any more, `calm_seconds` are enough to end what there is. `worker` is
    what claims and renders; other ones show that the witnesses see what they do.
    """

    claimers: int = 8
    jobs: int = 5000
    kills: int = 1000
    seconds: float = 600.0
    calm_seconds: float = 60.0
    seed: int = 0
    worker: type[Worker] = Worker


@dataclass(frozen=True)
class Role:
    """A process's part; `cell` is its number, and its place on the board."""

    name: str
    cell: int
    live: Callable[[int, random.Random], None]


def run(plan: Plan, home: Path) -> Result:
    """Let a storm loose on a new spool in `home`, and judge what it left."""
    return Storm(plan, home).run()


class Storm:
    """One spool, its processes, and who kills them."""

    def __init__(self, plan: Plan, home: Path) -> None:
        self._plan = plan
        self._spool = Spool.create(home / "spool")
        self._board = Board.create(home / "board", plan.claimers + 2)
        self._ledger = Ledger(home / "ledger")
        self._chance = random.Random(plan.seed)
        self._living: dict[int, Role] = {}
        self._kills = Counter[str]()
        self._crashes = 0
        self._submitted = 0
        self._is_submitting = True
        self._begun = time.monotonic()

    def run(self) -> Result:
        claimers = self._plan.claimers
        roles = [Role("worker", cell, self._work) for cell in range(claimers)]
        roles.append(Role("submitter", claimers, self._submit))
        roles.append(Role("operator", claimers + 1, self._operate))
        try:
            for role in roles:
                self._begin(role)
            self._rage()
            self._calm_down()
        finally:
            for pid in [*self._living]:
                self._end(pid)
        seconds = time.monotonic() - self._begun
        return judge(
            self._spool, self._ledger, self._submitted, self._kills, self._crashes, seconds
        )

    def _begin(self, role: Role) -> None:
        seed = self._chance.random()
        pid = os.fork()
        if pid == 0:
            _live_and_die(role, self._board, seed)
        self._living[pid] = role

    def _rage(self) -> None:
        """Kill until enough are dead, the jobs are done, or the time is over."""
        while (
            self._kills.total() < self._plan.kills
            and time.monotonic() - self._begun < self._plan.seconds
            and not self._is_done()
        ):
            time.sleep(self._chance.uniform(0, _LONGEST_PAUSE_SECONDS))
            self._wait_for_the_ended()
            if not self._is_ahead():
                self._kill(self._victim())

    def _is_ahead(self) -> bool:
        """Whether the kills, spread over all jobs, may pause."""
        progress = self._board.read()[self._plan.claimers].sent / self._plan.jobs
        due = (1.1 * progress + 0.02) * self._plan.kills
        return self._is_submitting and self._kills.total() > due

    def _victim(self) -> int:
        """Anyone, but rather one who has something to leave half done."""
        cells = self._board.read()
        weights = [
            1 if cells[role.cell].phase in {Phase.WAKING, Phase.LOOKING} else 8
            for role in self._living.values()
        ]
        return self._chance.choices([*self._living], weights)[0]

    def _kill(self, pid: int) -> None:
        role = self._living[pid]
        last = self._end(pid)
        self._kills[f"{role.name} {last}"] += 1
        self._begin(role)

    def _end(self, pid: int) -> str:
        """Kill `pid`, clear its cell, and tell in which phase it was."""
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        self._crashes += os.WIFEXITED(status) and status != 0
        return self._bury(pid)

    def _bury(self, pid: int) -> str:
        role = self._living.pop(pid)
        last = self._board.clear(role.cell)
        if role.name == "submitter":
            self._submitted = max(self._submitted, last.sent)
        return last.phase.name.lower()

    def _wait_for_the_ended(self) -> None:
        """Note who ended without us: the submitter may, a job may kill, all else is a crash."""
        for pid, role in [*self._living.items()]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            last = self._bury(pid)
            if role.name == "submitter" and status == 0:
                self._is_submitting = False
                continue
            if os.WIFSIGNALED(status):
                self._kills[f"{role.name} {last}, by its job"] += 1
            else:
                self._crashes += 1
            self._begin(role)

    def _calm_down(self) -> None:
        """Kill no one, and wait until all that was submitted is done."""
        if time.monotonic() - self._begun >= self._plan.seconds:
            self._stop_submitting()
        deadline = max(self._begun + self._plan.seconds, time.monotonic() + self._plan.calm_seconds)
        while not self._is_done() and time.monotonic() < deadline:
            time.sleep(0.02)
            self._wait_for_the_ended()

    def _stop_submitting(self) -> None:
        for pid in [pid for pid, role in self._living.items() if role.name == "submitter"]:
            self._end(pid)
            # Whether its last one was admitted, no one knows, nor asks again.
            self._submitted -= 1
        self._is_submitting = False

    def _is_done(self) -> bool:
        if self._is_submitting:
            return False
        recover_admissions(self._spool)
        # A ticket that moves may be missed once, and again, but hardly so often.
        return not any(job_ids_with_tickets(self._spool) for _ in range(5))

    def _work(self, cell: int, chance: random.Random) -> None:
        if chance.random() < 0.3:  # sometimes a peer shall be the one who recovers
            time.sleep(chance.uniform(0, 0.15))
        slot = Slot.acquire(self._spool, f"gpu{cell}")
        self._plan.worker(slot, cell, self._board, self._ledger, chance).live()

    def _submit(self, cell: int, chance: random.Random) -> None:
        submitter = Submitter(self._spool, cell, self._board, self._ledger)
        submitter.live(self._submitted, self._plan.jobs)

    def _operate(self, cell: int, chance: random.Random) -> None:
        Operator(self._spool, cell, self._board, self._ledger, chance).live()


def _live_and_die(role: Role, board: Board, seed: float) -> NoReturn:
    """Be `role`, in a fork; nothing of the parent's is ended or flushed with it."""
    status = 1
    try:
        # Whoever outlived the storm would work on for good.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        board.enter(role.cell)
        role.live(role.cell, random.Random(seed))
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)

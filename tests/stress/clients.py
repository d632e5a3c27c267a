"""The users of a spool: one submits, by key and without; one cancels, holds and releases."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress
from typing import Any

from spool.acceptance import admit, admit_keyed, recover_admissions
from spool.control import Verb, command
from spool.layout import Spool
from spool.problems import Problem
from spool.states import job_ids_with_tickets, scan
from tests.spool.samples import draw
from tests.stress.board import Board, Phase
from tests.stress.ledger import Fact, Ledger

_BACKLOG = 60
"""So many tickets wait that all workers go for the same few, and none is long in coming."""

_CANCELLING_SHARE = 0.3


def wish(number: int) -> dict[str, Any]:
    """What job `number` asks for. Its seed is its number, by which everyone knows it."""
    chance = random.Random(number)
    fields: dict[str, Any] = {
        "seed": number,
        "count": chance.choice([1, 1, 1, 2]),
        "priority": chance.choice([50, 50, 50, 10, 90]),
    }
    if number % 2:
        fields["key"] = str(number)
    if number % 4 == 1:
        fields["drop_name"] = f"batch {number % 7}/{number}.json"
    return fields


def is_keyed(number: int) -> bool:
    """Whether job `number` has a key, so that sending it twice makes one job of it."""
    return "key" in wish(number)


class Submitter:
    """Submits the jobs 1 to `jobs`; its cell of the board says which one it is at."""

    def __init__(self, spool: Spool, cell: int, board: Board, ledger: Ledger) -> None:
        self._spool = spool
        self._cell = cell
        self._board = board
        self._ledger = ledger

    def live(self, interrupted: int, jobs: int) -> None:
        """Submit what is left after a life that ended at job `interrupted`, 0 if there was none.

        That job is sent again if it has a key; whether it was admitted without one, no one knows.
        """
        self._board.sends(self._cell, interrupted)
        self._board.says(self._cell, Phase.ADMITTING)
        recover_admissions(self._spool)
        if interrupted and is_keyed(interrupted):
            self._submit(interrupted)
        for number in range(interrupted + 1, jobs + 1):
            while len(os.listdir(self._spool.queued)) > _BACKLOG:
                time.sleep(0.005)
            self._board.sends(self._cell, number)
            self._submit(number)
            if number > 20 and is_keyed(number - 20):
                self._submit(number - 20)

    def _submit(self, number: int) -> None:
        ticket = draw(self._spool, **wish(number))
        if ticket.key is None:
            admit(self._spool, ticket)
        elif not admit_keyed(self._spool, ticket):
            return
        self._ledger.note(Fact.ADMITTED, ticket.job_id, number)


class Operator:
    """Cancels or holds a job now and then, and releases those on hold."""

    def __init__(
        self, spool: Spool, cell: int, board: Board, ledger: Ledger, chance: random.Random
    ) -> None:
        self._spool = spool
        self._cell = cell
        self._board = board
        self._ledger = ledger
        self._chance = chance

    def live(self) -> None:
        """Cancel, hold and release until killed."""
        while True:
            if self._chance.random() < _CANCELLING_SHARE:
                self._disturb_one()
            for name in scan(self._spool.held):
                self._board.says(self._cell, Phase.RELEASING)
                # It may have ended by now: another operator's life was before this one's.
                with suppress(Problem):
                    command(self._spool, Verb.RELEASE, name.job_id)
                    self._ledger.note(Fact.RELEASED, name.job_id)
            self._board.says(self._cell, Phase.LOOKING)
            time.sleep(self._chance.uniform(0, 0.03))

    def _disturb_one(self) -> None:
        self._board.says(self._cell, Phase.CANCELLING)
        waiting = sorted(job_ids_with_tickets(self._spool))
        verb = self._chance.choice((Verb.CANCEL, Verb.HOLD))
        if waiting:
            with suppress(Problem):  # it is being rendered, or has just ended
                command(self._spool, verb, self._chance.choice(waiting))

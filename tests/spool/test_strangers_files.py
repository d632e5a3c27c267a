"""One intake, all that strangers can drop at once, and good jobs among it."""

from __future__ import annotations

import logging
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from spool import ids, intake, patience
from spool.intake import Intake
from spool.layout import Spool
from spool.outgoing import is_reserved
from spool.quoting import printable
from spool.rejections import shortened
from spool.tickets import Ticket
from tests.services import wait_for
from tests.spool.dropbox import (
    JOB,
    PACKAGE,
    delivered_reason,
    left_over,
    logged,
    moved_in,
    queued_tickets,
    reason,
    rejected,
    running,
)
from tests.spool.processes import as_root
from tests.spool.samples import hold_job, queue_job
from tests.spool.strangers import CASES, GROWTH_SECONDS, ID, NOBODY, Case, Fate

pytestmark = as_root

STILL = 0.5
REFUSE = 1.5
PROMPT_SECONDS = 5.0
GOOD = ["first-good.json", "~good.json", "zz-good.json"]


@dataclass
class Session:
    """What one run of intake did with everything that was dropped at once."""

    spool: Spool
    queued: Ticket
    held: Ticket
    dropped_ms: int = 0
    log: list[str] = field(default_factory=list)
    said_again: list[str] = field(default_factory=list)

    def jobs(self, name: str) -> list[Ticket]:
        return [ticket for ticket in queued_tickets(self.spool) if ticket.drop_name == name]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    spool = Spool.create(tmp_path_factory.mktemp("strangers") / "spool")
    session = Session(spool, queue_job(spool), hold_job(spool))
    with pytest.MonkeyPatch.context() as patch, logged() as log:
        patch.setattr(patience, "STILL_SECONDS", STILL)
        patch.setattr(patience, "REFUSE_SECONDS", REFUSE)
        patch.setattr(intake, "SCAN_SECONDS", 3600.0)
        PACKAGE.setLevel(logging.INFO)
        with running(spool) as thread:
            _drop_everything(session)
            _wait_until_settled(session, thread)
            session.log = list(log.lines)
            _scan_again(thread)
            session.said_again = log.lines[len(session.log) :]
        PACKAGE.setLevel(logging.NOTSET)
    return session


def _drop_everything(session: Session) -> None:
    incoming = session.spool.incoming
    moved_in(session.spool, GOOD[0])
    for case in CASES:
        case.make(incoming / case.name)
    session.dropped_ms = time.time_ns() // 1_000_000
    for name in GOOD[1:]:
        moved_in(session.spool, name)
    for ticket in (session.queued, session.held):
        moved_in(session.spool, f"{ticket.job_id}.json")


def _wait_until_settled(session: Session, thread: Intake) -> None:
    time.sleep(max(REFUSE, GROWTH_SECONDS + STILL))
    staying = {case.name for case in CASES if case.fate in {Fate.IGNORED, Fate.STAYS}}

    def settled() -> bool:
        left = [name for name in left_over(session.spool) if name not in staying]
        return not left and not thread._patience.waiting

    wait_for(settled, seconds=30, what=f"the last of {left_over(session.spool)}")


def _scan_again(thread: Intake) -> None:
    for _ in range(2):
        thread._rescan()
        wait_for(lambda: thread._scan_due > 0.0, seconds=10, what="a scan")
        time.sleep(0.3)


def _named(fate: Fate) -> list[str]:
    return sorted(case.name for case in CASES if case.fate is fate)


def _of(*fates: Fate) -> pytest.MarkDecorator:
    cases = [case for case in CASES if case.fate in fates]
    return pytest.mark.parametrize("case", cases, ids=str)


def _kept_as(case: Case) -> str:
    path = Path(case.name)
    return str(path.with_name(shortened(path.name, ".problem.json")))


@_of(Fate.ACCEPTED)
def test_what_is_a_job_is_accepted_once_and_removed(session: Session, case: Case) -> None:
    [ticket] = session.jobs(case.name)
    assert ticket.origin == "drop"
    assert not (session.spool.incoming / case.name).exists()
    assert not (session.spool.rejected / f"{case.name[:200]}.problem.json").exists()
    assert delivered_reason(session.spool, case.name) is None


@_of(Fate.REFUSED, Fate.TOLD)
def test_what_is_none_is_refused_with_what_is_wrong_and_what_to_do(
    session: Session, case: Case
) -> None:
    why = reason(session.spool, _kept_as(case))
    assert case.says in why
    assert case.do in why
    assert session.jobs(case.name) == []
    assert not os.path.lexists(session.spool.incoming / case.name)
    kept = session.spool.rejected / _kept_as(case)
    assert os.path.lexists(kept) == (case.fate is Fate.REFUSED)


@_of(Fate.REFUSED, Fate.TOLD)
def test_the_reason_is_laid_where_the_sender_fetches_it(session: Session, case: Case) -> None:
    expected = None if is_reserved(Path(case.name)) else reason(session.spool, _kept_as(case))
    assert delivered_reason(session.spool, case.name) == expected


def test_good_jobs_among_bad_ones_wait_for_none_of_them(session: Session) -> None:
    for name in GOOD:
        [ticket] = session.jobs(name)
        waited = (ids.created_ms(ticket.job_id) - session.dropped_ms) / 1000
        assert waited < PROMPT_SECONDS


def test_exactly_the_good_ones_are_accepted(session: Session) -> None:
    wishes = [f"{ticket.job_id}.json" for ticket in (session.queued, session.held)]
    names = [ticket.drop_name for ticket in queued_tickets(session.spool)]
    expected = [*_named(Fate.ACCEPTED), *GOOD, *wishes]
    assert sorted(filter(None, names)) == sorted(expected)


def test_exactly_what_was_refused_is_kept(session: Session) -> None:
    kept = [_kept_as(case) for case in CASES if case.fate is Fate.REFUSED]
    assert rejected(session.spool) == sorted(kept)
    assert not [p for p in session.spool.rejected.rglob("*") if p.is_symlink()]


def test_only_what_must_stay_is_left_in_the_drop_box(session: Session) -> None:
    staying = [case.name for case in CASES if case.fate in {Fate.IGNORED, Fate.STAYS}]
    staying = [name for name in staying if not (session.spool.incoming / name).is_dir()]
    assert left_over(session.spool) == sorted(staying)


@_of(Fate.STAYS)
def test_what_is_too_deep_to_be_taken_is_said_once(session: Session, case: Case) -> None:
    below = f"incoming/{case.name[:2].rstrip('/')}/"
    [line] = [line for line in session.log if below in line]
    assert case.says in line
    assert case.do in line


def test_a_second_scan_says_nothing_new(session: Session) -> None:
    assert session.said_again == []


def test_every_refusal_and_every_job_has_one_line_in_the_log(session: Session) -> None:
    for line in session.log:
        assert line.isprintable()
        assert "Traceback" not in line
    refused = [line for line in session.log if ": refused: " in line]
    assert len(refused) == len(_named(Fate.REFUSED)) + len(_named(Fate.TOLD))
    jobs = len(_named(Fate.ACCEPTED)) + len(GOOD) + 2
    assert len(session.log) == len(refused) + jobs + len(_named(Fate.STAYS))


def test_no_text_of_a_stranger_reaches_a_terminal_raw(session: Session) -> None:
    spool = session.spool
    reports = [*spool.rejected.rglob("*.problem.json"), *spool.outgoing.rglob("problem.json")]
    assert len(reports) > 100
    for report in reports:
        text = report.read_text()
        assert text.replace("\n", "").isprintable(), printable(text)


def test_a_wish_for_an_id_is_met_once_and_never_at_the_cost_of_another(session: Session) -> None:
    of = {ticket.drop_name: ticket.job_id for ticket in queued_tickets(session.spool)}
    assert ID in {of[f"{ID}.json"], of[f"{ID}.txt"]}
    assert of[f"{ID}.json"] != of[f"{ID}.txt"]
    assert of["99991231T235959999-7f3a9c.json"] < "9999"
    assert of["20261399T999999999-7f3a9c.json"] != "20261399T999999999-7f3a9c"
    for ticket in (session.queued, session.held):
        assert of[f"{ticket.job_id}.json"] != ticket.job_id
    assert session.queued in queued_tickets(session.spool)
    held = session.spool.held / str(session.held.name)
    assert Ticket.decode(held.read_bytes()) == session.held


def test_a_job_belongs_to_who_dropped_it(session: Session) -> None:
    for name in ("private.json", "others.json", "setuid.json", "hard.json"):
        [ticket] = session.jobs(name)
        assert ticket.owner_uid == NOBODY
    [ticket] = session.jobs("past.json")
    assert ticket.owner_uid == os.getuid()


def test_the_prompt_is_kept_as_it_was_written(session: Session) -> None:
    assert session.jobs("growing.json")[0].request.prompt == "a red circle"
    assert "\x1b[2J\nERROR forged" in session.jobs("prompt.json")[0].request.prompt
    assert session.jobs("pair.json")[0].request.name == "\U0001f600"
    assert session.jobs("label.json")[0].request.name == "../../etc/cron.d/x"


def test_a_strangers_own_file_is_as_it_was_before(session: Session) -> None:
    home = session.spool.root.parent
    assert (home / "theirs-hard.json").read_text() == JOB
    assert (home / "theirs-hard-bad.json").read_text() == "no"
    status = (session.spool.rejected / "setuid-bad.json").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o6755, NOBODY)


def test_nothing_is_left_half_done(session: Session) -> None:
    assert list(session.spool.pending.iterdir()) == []
    assert list(session.spool.tmp.iterdir()) == []
    assert {path.name for path in session.spool.root.parent.iterdir()} == {
        "spool",
        "theirs-hard.json",
        "theirs-hard-bad.json",
    }

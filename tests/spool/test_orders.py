"""Orders that are dropped as files, by those who may not write work/ themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spool import patience
from spool.catalogue import Catalogue
from spool.claims import Slot
from spool.control import Verb, command
from spool.drops import restore_set_aside
from spool.finishing import finish
from spool.intake import Intake
from spool.layout import Spool
from spool.orders import Order, order_key
from spool.outcomes import Outcome, record_of
from spool.records import read_record
from spool.states import Status, find, scan
from spool.tickets import Ticket
from tests.services import wait_for
from tests.spool.crashes import killed_at_each_effect
from tests.spool.dropbox import (
    CATALOGUE,
    JOB,
    delivered_reason,
    drop_names,
    hasten,
    left_over,
    queued_tickets,
    reason,
)
from tests.spool.processes import as_root, genzo_as
from tests.spool.samples import claim_job, hold_job, queue_job
from tests.spool.senders import MEMBER, ROOT, Sender, service_spool, serving
from tests.spool.test_control import EXPECTED, NEW, REFUSED, SAME

OWNER = 1000
STRANGER = 4321
UNKNOWN = "20261123T121728417-7f3a9c"


@pytest.fixture
def taker(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """One round of an intake that waits for nothing."""
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(patience, "REFUSE_SECONDS", 0.0)
    intake = Intake(spool, lambda: CATALOGUE)

    def take() -> None:
        intake._rescan()
        intake._round()

    return take


def _order(spool: Spool, name: str, uid: int = OWNER, mtime: float | None = None) -> Path:
    path = spool.incoming / name
    path.touch()
    os.chown(path, uid, uid)
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    return path


def _job_in(slot: Slot, status: Status) -> str:
    """A job of OWNER's, dropped as a.json, in the state `status`."""
    if status is Status.QUEUED:
        return queue_job(slot.spool, drop_name="a.json").job_id
    if status is Status.HELD:
        return hold_job(slot.spool, drop_name="a.json").job_id
    claim = claim_job(slot, drop_name="a.json", seed=7).start()
    if status.is_final:
        finish(claim, record_of(claim.ticket, Outcome(status, 1)))
    return claim.job_id


def _status(spool: Spool, job_id: str) -> str:
    record = read_record(spool, job_id)
    found = find(spool, job_id)
    assert record or found
    return record.status if record else found.status if found else ""


def _retries(spool: Spool) -> list[Ticket]:
    tickets = [
        Ticket.decode((spool.queued / str(name)).read_bytes()) for name in scan(spool.queued)
    ]
    return [ticket for ticket in tickets if ticket.retry_of is not None]


@as_root
@pytest.mark.parametrize("uid", [OWNER, 0], ids=["owner", "root"])
@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("status", Status)
def test_an_order_does_to_a_job_what_the_table_says(
    spool: Spool, taker: Callable[[], None], status: Status, verb: Verb, uid: int
) -> None:
    slot = Slot.acquire(spool, "gpu0")
    job_id = _job_in(slot, status)
    name = f"{job_id}.{verb}"
    _order(spool, name, uid)
    taker()
    expected = EXPECTED[status.value, verb.value]
    assert left_over(spool) == []
    if expected == REFUSED:
        assert f"job {job_id} is {status}" in reason(spool, name)
        assert delivered_reason(spool, name) == reason(spool, name)
    else:
        assert list(spool.rejected.iterdir()) == []
    stays = expected in {SAME, REFUSED, NEW, "asked to stop"}
    assert _status(spool, job_id) == (status if stays else expected)
    assert spool.cancel_request(job_id).exists() == (expected == "asked to stop")
    assert [ticket.retry_of for ticket in _retries(spool)] == [job_id] * (expected == NEW)


@as_root
@pytest.mark.parametrize("verb", Verb)
def test_an_order_by_a_stranger_is_refused(
    spool: Spool, taker: Callable[[], None], verb: Verb
) -> None:
    slot = Slot.acquire(spool, "gpu0")
    status = Status.COMPLETED if verb is Verb.RETRY else Status.QUEUED
    job_id = _job_in(slot, status)
    name = f"{job_id}.{verb}"
    _order(spool, name, STRANGER, mtime=1e9)
    taker()
    assert f"belongs to user {OWNER}, the order came from user {STRANGER}" in reason(spool, name)
    assert _status(spool, job_id) == status
    # It must not stand in the way of the owner's own, were it of the same name, size and time.
    _order(spool, name, OWNER, mtime=1e9)
    taker()
    assert _retries(spool) if verb is Verb.RETRY else (spool.rejected / name).exists()
    assert delivered_reason(spool, name) is None


@pytest.mark.parametrize("verb", Verb)
def test_an_order_for_an_unknown_job_is_refused(
    spool: Spool, taker: Callable[[], None], verb: Verb
) -> None:
    name = f"{UNKNOWN}.{verb}"
    (spool.incoming / name).touch()
    taker()
    assert f"there is no job {UNKNOWN}" in reason(spool, name)


@as_root
@pytest.mark.parametrize("kind", ["symlink", "pipe", "hard link"])
def test_only_a_regular_file_of_one_name_is_an_order(
    spool: Spool, taker: Callable[[], None], tmp_path: Path, kind: str
) -> None:
    """A further name of another's file would speak in that one's name."""
    job_id = queue_job(spool).job_id
    path = spool.incoming / f"{job_id}.cancel"
    theirs = tmp_path / "theirs"
    theirs.touch()
    os.chown(theirs, OWNER, OWNER)
    if kind == "symlink":
        path.symlink_to(theirs)
        os.chown(path, OWNER, OWNER, follow_symlinks=False)
    elif kind == "pipe":
        os.mkfifo(path)
        os.chown(path, OWNER, OWNER)
    else:
        os.link(theirs, path)
    taker()
    assert _status(spool, job_id) == "queued"
    assert "make it with: touch" in reason(spool, path.name)
    assert left_over(spool) == []
    assert theirs.exists()


def test_a_folder_is_no_order(spool: Spool, taker: Callable[[], None]) -> None:
    job_id = queue_job(spool).job_id
    (spool.incoming / f"{job_id}.cancel").mkdir()
    (spool.incoming / "sub").mkdir()
    (spool.incoming / "sub" / f"{job_id}.cancel").touch()
    taker()
    assert _status(spool, job_id) == "queued"
    assert (spool.incoming / f"{job_id}.cancel").is_dir()
    assert "empty" in reason(spool, f"sub/{job_id}.cancel")


@pytest.mark.parametrize(
    "name", [f"{UNKNOWN}.CANCEL", f"{UNKNOWN}.cancel.json", "x.cancel", f"{UNKNOWN}.stop"]
)
def test_other_names_are_no_orders(spool: Spool, name: str) -> None:
    assert Order.parse(spool, spool.incoming / name) is None


@as_root
def test_an_order_that_is_sent_again_each_minute_is_obeyed_once(
    spool: Spool, taker: Callable[[], None]
) -> None:
    job_id = _job_in(Slot.acquire(spool, "gpu0"), Status.QUEUED)
    for number in range(4):
        _order(spool, f"{job_id}.hold", mtime=1e9)
        taker()
        assert left_over(spool) == []
        if number == 1:
            command(spool, Verb.RELEASE, job_id)
        assert _status(spool, job_id) == ("held" if number == 0 else "queued")
    _order(spool, f"{job_id}.hold", mtime=2e9)  # touched: it is meant anew
    taker()
    assert _status(spool, job_id) == "held"


@as_root
def test_a_retry_that_is_sent_again_makes_one_job_with_the_same_seed_and_name(
    spool: Spool, taker: Callable[[], None]
) -> None:
    slot = Slot.acquire(spool, "gpu0")
    job_id = _job_in(slot, Status.FAILED)
    for _ in range(3):
        _order(spool, f"{job_id}.retry", mtime=1e9)
        taker()
    [ticket] = _retries(spool)
    assert (ticket.retry_of, ticket.seed, ticket.owner_uid) == (job_id, 7, OWNER)
    assert (ticket.origin, ticket.drop_name) == ("drop", "a.json")
    claim = slot.claim(ticket.name)
    assert claim is not None
    finish(claim, record_of(claim.ticket, Outcome(Status.CANCELLED, 0)))
    delivered = {path.parent.name for path in (spool.outgoing / "a").rglob("result.json")}
    assert delivered == {job_id, ticket.job_id}


def test_an_order_that_comes_with_its_job_finds_it(spool: Spool, taker: Callable[[], None]) -> None:
    (spool.incoming / f"{UNKNOWN}.cancel").touch()
    (spool.incoming / f"{UNKNOWN}.json").write_text(JOB)
    taker()
    assert _status(spool, UNKNOWN) == "cancelled"
    assert list(spool.rejected.iterdir()) == []


def test_a_refused_order_that_is_given_anew_takes_its_reason_away(
    spool: Spool, taker: Callable[[], None]
) -> None:
    slot = Slot.acquire(spool, "gpu0")
    claim = claim_job(slot)
    name = f"{claim.job_id}.hold"
    (spool.incoming / name).touch()
    taker()
    assert "is being rendered" in (delivered_reason(spool, name) or "")
    claim.put_back(0)
    (spool.incoming / name).touch()
    taker()
    assert _status(spool, claim.job_id) == "held"
    assert delivered_reason(spool, name) is None


@pytest.mark.parametrize("verb", [Verb.HOLD, Verb.CANCEL, Verb.RETRY])
def test_a_kill_at_any_line_of_obeying_an_order_obeys_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.0)
    numbers = iter(range(1000))

    def ordered() -> tuple[Spool, str]:
        spool = Spool.create(tmp_path / str(next(numbers)))
        status = Status.FAILED if verb is Verb.RETRY else Status.QUEUED
        job_id = _job_in(Slot.acquire(spool, "gpu0"), status)
        (spool.incoming / f"{job_id}.{verb}").touch()
        return spool, job_id

    def take(scene: tuple[Spool, str]) -> None:
        Intake(scene[0], Catalogue)._round()

    for spool, job_id in killed_at_each_effect(ordered, take):
        restore_set_aside(spool)
        take((spool, job_id))
        assert left_over(spool) == []
        assert list(spool.rejected.iterdir()) == []
        assert len(_retries(spool)) == (verb is Verb.RETRY)
        expected = {Verb.HOLD: "held", Verb.CANCEL: "cancelled", Verb.RETRY: "failed"}
        assert _status(spool, job_id) == expected[verb]


@as_root
def test_an_owner_is_part_of_an_orders_key(spool: Spool) -> None:
    keys = set()
    for uid in (OWNER, STRANGER):
        keys.add(order_key(spool, _order(spool, f"{UNKNOWN}.hold", uid, mtime=1e9)))
    assert len(keys) == 2


def _becomes(spool: Spool, job_id: str, status: str) -> None:
    wait_for(lambda: _status(spool, job_id) == status, seconds=5, what=f"{job_id} {status}")


def _dropped(spool: Spool, sender: Sender) -> str:
    """The id of a job that `sender` dropped and that was accepted."""
    name = f"{sender.uid}.json"
    assert sender.run("sh", "-ec", "echo $0 > $1", JOB, spool.incoming / name) == 0
    wait_for(lambda: name in drop_names(spool), seconds=5, what=name)
    [job_id] = [job.job_id for job in queued_tickets(spool) if job.drop_name == name]
    return job_id


@pytest.fixture
def served(public_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    """A spool whose intake would refuse what is not whole only after an hour."""
    hasten(monkeypatch)
    monkeypatch.setattr(patience, "REFUSE_SECONDS", 3600.0)
    spool = service_spool(public_directory)
    with serving(spool):
        yield spool


@as_root
def test_an_order_needs_neither_content_nor_to_be_readable(served: Spool) -> None:
    job_id = _dropped(served, MEMBER)
    assert MEMBER.run("touch", served.incoming / f"{job_id}.hold", umask=0o777) == 0
    _becomes(served, job_id, "held")
    assert MEMBER.run("sh", "-c", "echo { > $0", served.incoming / f"{job_id}.release") == 0
    _becomes(served, job_id, "queued")
    assert list(served.rejected.iterdir()) == []


@as_root
def test_a_member_orders_for_its_own_jobs_on_the_command_line(served: Spool) -> None:
    job_id = _dropped(served, MEMBER)

    def order(verb: str) -> None:
        done = genzo_as(MEMBER.uid, verb, "--spool", served.root, job_id, groups=MEMBER.groups)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"(order dropped: {verb})" in done.stdout

    for verb, status in (("hold", "held"), ("release", "queued"), ("cancel", "cancelled")):
        order(verb)
        _becomes(served, job_id, status)
    order("retry")
    wait_for(lambda: _retries(served), seconds=5, what="the new job")
    assert [ticket.owner_uid for ticket in _retries(served)] == [MEMBER.uid]


@as_root
def test_no_member_has_power_over_the_jobs_of_another(served: Spool) -> None:
    job_id = _dropped(served, ROOT)
    # A dot-name that a stranger could guess would keep others from giving orders.
    assert ROOT.run("touch", served.incoming / f".{job_id}.cancel") == 0
    done = genzo_as(MEMBER.uid, "cancel", "--spool", served.root, job_id, groups=MEMBER.groups)
    assert (done.returncode, done.stderr) == (0, "")
    refused = served.rejected / f"{job_id}.cancel.problem.json"
    wait_for(refused.exists, seconds=5, what="the refusal")
    assert f"the order came from user {MEMBER.uid}" in reason(served, f"{job_id}.cancel")
    assert _status(served, job_id) == "queued"

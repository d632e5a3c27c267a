"""The order of syncs and names of every action, as strace sees it, against PROTOCOL.md."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from spool import acceptance, drops, durable, patience
from spool.acceptance import admit, admit_keyed
from spool.claims import Claim, Slot
from spool.control import Verb, command
from spool.finishing import finish
from spool.gallery import PictureName, publish_picture
from spool.intake import Intake
from spool.layout import Spool
from spool.recovery import recover
from spool.states import scan
from spool.tickets import Ticket
from tests.spool.crashes import killed_at_each_effect
from tests.spool.dropbox import CATALOGUE, JOB, running
from tests.spool.effects import concerns, effects_of
from tests.spool.ledger import Ledger
from tests.spool.samples import (
    PNG,
    claim_job,
    completed,
    draw,
    hold_job,
    publish_pictures,
    queue_job,
)


def _admit(spool: Spool, ticket: Ticket) -> None:
    if ticket.key is None:
        admit(spool, ticket)
    else:
        assert admit_keyed(spool, ticket)


def _violations(spool: Spool, action: Callable[[], object]) -> list[str]:
    ledger = Ledger(spool)
    ledger.replay(effects_of(action, within=spool.root))
    ledger.returned()
    return ledger.violations


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round takes or refuses all that is there."""
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(patience, "REFUSE_SECONDS", 0.0)


def _take_all(spool: Spool) -> None:
    drops.restore_set_aside(spool)
    Intake(spool, lambda: CATALOGUE)._round()


def _drop_and_take(spool: Spool, *names: str, content: str = JOB) -> None:
    for name in names:
        path = spool.incoming / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    _take_all(spool)


def _claim_first(spool: Spool) -> Claim:
    slot = Slot.acquire(spool, "gpu0")
    claim = slot.claim(scan(spool.queued)[0])
    assert claim is not None
    return claim


def _run_first(spool: Spool) -> None:
    """What a daemon does with the first job of the queue."""
    claim = _claim_first(spool).start()
    publish_pictures(spool, claim.ticket)
    claim = claim.uncount()
    finish(claim, completed(claim.ticket))


def test_a_job_without_a_key_is_durable_when_it_is_admitted(spool: Spool) -> None:
    assert _violations(spool, lambda: admit(spool, draw(spool))) == []


def test_a_job_with_a_key_is_durable_when_it_is_admitted(spool: Spool) -> None:
    def admit_twice() -> None:
        assert admit_keyed(spool, draw(spool, key="k"))
        assert not admit_keyed(spool, draw(spool, key="k"))

    assert _violations(spool, admit_twice) == []


@pytest.mark.parametrize("count", [2, 40])
def test_jobs_of_a_batch_are_durable_when_they_are_admitted(spool: Spool, count: int) -> None:
    def admit_batch() -> None:
        tickets = [draw(spool, key=f"k{number}") for number in range(count)]
        assert acceptance.admit_all(spool, [*tickets, draw(spool, key="k0")]) == [
            *[True] * count,
            False,
        ]

    assert _violations(spool, admit_batch) == []


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("count", [1, 3, 20])
def test_a_drop_goes_once_its_job_is_durable(spool: Spool, count: int) -> None:
    names = [f"sub/{number}.json" for number in range(count)]
    assert _violations(spool, lambda: _drop_and_take(spool, *names)) == []
    assert len(scan(spool.queued)) == count


@pytest.mark.usefixtures("at_once")
def test_a_drop_that_is_known_goes_once_the_job_it_was_is_durable(spool: Spool) -> None:
    def drop_twice() -> None:
        for _ in range(2):
            path = spool.incoming / "a.json"
            path.write_text(JOB)
            os.utime(path, (1, 1))
            _take_all(spool)

    assert _violations(spool, drop_twice) == []
    assert len(scan(spool.queued)) == 1


@pytest.mark.usefixtures("at_once")
def test_a_drop_that_is_refused_goes_once_it_is_durable_in_rejected(spool: Spool) -> None:
    refuse = partial(_drop_and_take, spool, "sub/a.json", "b.json", content="hello")
    assert _violations(spool, refuse) == []
    assert (spool.rejected / "sub" / "a.json").read_text() == "hello"


def test_a_picture_is_durable_when_it_is_published(spool: Spool) -> None:
    name = PictureName(draw(spool).job_id, 0)
    assert _violations(spool, lambda: publish_picture(spool, name, PNG, b"thumbnail")) == []


@pytest.mark.parametrize("drop_name", [None, "sub/a.json"])
def test_a_job_ends_after_all_that_its_record_names_is_durable(
    spool: Spool, drop_name: str | None
) -> None:
    queue_job(spool, drop_name=drop_name, count=2)
    assert _violations(spool, lambda: _run_first(spool)) == []


@pytest.mark.parametrize("make", [queue_job, hold_job])
def test_a_cancelled_job_goes_once_its_record_is_durable(
    spool: Spool, make: Callable[..., object]
) -> None:
    make(spool, drop_name="a.json")
    [ticket] = [*scan(spool.queued), *scan(spool.held)]
    assert _violations(spool, lambda: command(spool, Verb.CANCEL, ticket.job_id)) == []


def test_a_released_job_is_durable_in_the_queue_and_gone_from_hold(spool: Spool) -> None:
    job_id = hold_job(spool).job_id
    assert _violations(spool, lambda: command(spool, Verb.RELEASE, job_id)) == []


def test_a_job_is_never_less_durable_than_what_was_said_of_it(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.1)

    def drop_and_run() -> None:
        (spool.incoming / "a.json").write_text('{"prompt": "a red circle", "count": 2}')
        with running(spool):
            while not scan(spool.queued):
                pass
        _run_first(spool)

    assert _violations(spool, drop_and_run) == []
    assert len(list(spool.outgoing.glob("a/*/result.json"))) == 1


def _after_kills(
    directory: Path, action: Callable[[Spool], object], *, before: Callable[[Spool], object]
) -> list[str]:
    """What is violated where `action` is killed before each of its effects, and done again."""
    ledgers = {root: Ledger(Spool(root)) for root in (directory / str(n) for n in range(200))}
    roots = iter(ledgers)

    def prepare() -> Spool:
        spool = Spool.create(next(roots))
        before(spool)
        return spool

    def act() -> None:
        for spool in killed_at_each_effect(prepare, action):
            action(spool)

    effects = effects_of(act, within=directory)
    for root, ledger in ledgers.items():
        ledger.replay(effect for effect in effects if concerns(effect, root))
    return [violation for ledger in ledgers.values() for violation in ledger.violations]


@pytest.mark.usefixtures("at_once")
def test_a_drop_that_is_taken_after_a_kill_goes_once_its_job_is_durable(tmp_path: Path) -> None:
    def drop(spool: Spool) -> None:
        (spool.incoming / "a.json").write_text(JOB)

    assert _after_kills(tmp_path, _take_all, before=drop) == []


def test_a_job_that_is_finished_after_a_kill_goes_once_its_result_is_durable(
    tmp_path: Path,
) -> None:
    def run(spool: Spool) -> None:
        slot = Slot.acquire(spool, "gpu0")
        recover(slot, starting=True)
        slot.release()
        if scan(spool.queued):
            _run_first(spool)

    queue = partial(queue_job, drop_name="a.json")
    assert _after_kills(tmp_path, run, before=queue) == []


def _only_directories(descriptor: int, sync: Callable[[int], None] = os.fsync) -> None:
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        sync(descriptor)


@pytest.mark.parametrize("key", [None, "k"])
def test_a_file_that_is_not_synced_is_noticed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    ticket = draw(spool, key=key)
    monkeypatch.setattr(os, "fsync", _only_directories)
    violations = _violations(
        spool, lambda: admit_keyed(spool, ticket) if key else admit(spool, ticket)
    )
    assert f"work/queued/{ticket.name} is given to a file that is not synced" in violations


@pytest.mark.parametrize("key", [None, "k"])
def test_a_directory_that_is_not_synced_is_noticed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    ticket = draw(spool, key=key)
    monkeypatch.setattr(durable, "sync_directories", lambda *_: None)
    violations = _violations(
        spool, lambda: admit_keyed(spool, ticket) if key else admit(spool, ticket)
    )
    assert f"work/queued is not synced after work/queued/{ticket.name}" in violations


def test_a_release_that_syncs_one_directory_only_is_noticed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = hold_job(spool).name
    sync = durable.sync_directories
    monkeypatch.setattr(durable, "sync_directories", lambda *directories: sync(directories[0]))
    violations = _violations(spool, lambda: command(spool, Verb.RELEASE, name.job_id))
    assert violations == [f"work/held is not synced after work/queued/{name}"]


def test_what_goes_before_its_heir_is_durable_is_noticed(spool: Spool) -> None:
    drop = spool.incoming / "a.json"
    drop.write_text(JOB)
    ticket = queue_job(spool)
    record = spool.record(ticket.job_id).relative_to(spool.root)

    def lose() -> None:
        drop.unlink()
        (spool.queued / str(ticket.name)).unlink()

    assert _violations(spool, lose) == [
        "incoming/a.json goes before rejected/a.json is durable",
        f"work/queued/{ticket.name} goes before {record} is durable",
    ]


def test_a_record_before_its_pictures_is_noticed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0"))

    def finish_early() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(durable, "sync_directories", lambda *_: None)
            publish_pictures(spool, claim.ticket)
        finish(claim, completed(claim.ticket))

    record = spool.record(claim.job_id).relative_to(spool.root)
    picture = PictureName(claim.job_id, 0).picture(spool).relative_to(spool.root)
    assert f"{record} comes before {picture} is durable" in _violations(spool, finish_early)

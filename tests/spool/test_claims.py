from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from spool import states
from spool.claims import MAX_STARTS, Claim, Slot, read_claim
from spool.layout import CANCEL_SLOT, Spool
from spool.live import last_event
from spool.problems import SlotBusy
from spool.recovery import recover
from spool.states import Status, find, scan
from spool.views import job_view
from tests.services import wait_for
from tests.spool.processes import child, in_children
from tests.spool.samples import claim_job, queue_job


def _work(root: str, slot_name: str) -> list[str]:
    slot = Slot.acquire(Spool.open(Path(root)), slot_name)
    claimed = []
    while names := scan(slot.spool.queued):
        # All go for the same tickets, as daemons do.
        for name in names[:4]:
            if slot.claim(name) is not None:
                claimed.append(name.job_id)
    return claimed


def test_of_four_processes_that_race_for_200_tickets_each_ticket_has_one_winner(
    spool: Spool,
) -> None:
    queued = {queue_job(spool).job_id for _ in range(200)}
    results = in_children(_work, [(str(spool.root), f"gpu{number}") for number in range(4)])
    claimed = [job_id for result in results for job_id in result]
    assert len(claimed) == 200
    assert set(claimed) == queued
    assert sum(1 for result in results if result) > 1
    for number, result in enumerate(results):
        names = scan(spool.slot_of(f"gpu{number}"))
        assert {name.job_id for name in names} == set(result)


def test_a_claim_moves_the_ticket_into_the_slot_and_keeps_the_count(spool: Spool) -> None:
    slot = Slot.acquire(spool, "gpu0")
    ticket = queue_job(spool)
    claim = slot.claim(ticket.name)
    assert claim is not None
    assert claim.ticket == ticket
    assert claim.path == spool.slot_of("gpu0") / str(ticket.name)
    assert claim.path.exists()
    assert claim.name.starts == 0
    assert scan(spool.queued) == []


def test_a_claim_that_lost_the_race_returns_none(spool: Spool) -> None:
    ticket = queue_job(spool)
    winner, loser = Slot.acquire(spool, "gpu0"), Slot.acquire(spool, "gpu1")
    assert winner.claim(ticket.name) is not None
    assert loser.claim(ticket.name) is None
    assert scan(loser.directory) == []


def test_a_claim_that_loses_between_reading_and_renaming_returns_none(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = queue_job(spool)
    slot = Slot.acquire(spool, "gpu0")

    def taken_meanwhile(_: object) -> bool:
        (spool.queued / str(ticket.name)).rename(spool.held / str(ticket.name))
        return True

    assert slot.claim(ticket.name, taken_meanwhile) is None
    assert scan(spool.held) == [ticket.name]


def test_a_ticket_that_the_slot_does_not_serve_stays(spool: Spool) -> None:
    ticket = queue_job(spool)
    slot = Slot.acquire(spool, "gpu0")
    assert slot.claim(ticket.name, lambda _: False) is None
    assert scan(spool.queued) == [ticket.name]


def test_a_ticket_that_cannot_be_read_is_held_and_nothing_waits_behind_it(spool: Spool) -> None:
    broken, good = queue_job(spool, priority=100), queue_job(spool)
    (spool.queued / str(broken.name)).write_bytes(b'{"format": 1}')
    slot = Slot.acquire(spool, "gpu0")
    assert slot.claim(broken.name) is None
    assert scan(spool.held) == [broken.name]
    assert slot.claim(good.name) is not None


def test_a_start_counts_and_a_put_back_keeps_the_count_it_is_given(spool: Spool) -> None:
    slot = Slot.acquire(spool, "gpu0")
    claim = claim_job(slot)
    started = claim.start()
    assert started.name.starts == 1
    assert scan(slot.directory) == [started.name]
    started.put_back(claim.name.starts)
    started.sync()
    assert scan(spool.queued) == [claim.name]
    again = slot.claim(claim.name)
    assert again is not None
    again.start().put_back(1)
    assert [name.starts for name in scan(spool.queued)] == [1]
    assert scan(slot.directory) == []


def test_a_started_job_that_is_put_back_keeps_its_place_in_the_queue(spool: Spool) -> None:
    slot = Slot.acquire(spool, "gpu0")
    first, second = queue_job(spool), queue_job(spool)
    claim = slot.claim(first.name)
    assert claim is not None
    claim.start().put_back(0)
    assert scan(spool.queued) == [first.name, second.name]


def test_a_slot_that_another_process_holds_is_busy_and_the_message_says_what_to_do(
    spool: Spool,
) -> None:
    with child(_hold, str(spool.root), "gpu0"):
        wait_for(lambda: scan(spool.slot_of("gpu0")), what="the holder")
        with pytest.raises(SlotBusy) as caught:
            Slot.acquire(spool, "gpu0", timeout_seconds=0.1)
    message = str(caught.value)
    assert "'gpu0'" in message
    assert str(spool.lock("gpu0")) in message
    assert "--slot" in message


def test_a_released_slot_may_be_taken_and_its_lock_file_stays(spool: Spool) -> None:
    slot = Slot.acquire(spool, "gpu0")
    inode = spool.lock("gpu0").stat().st_ino
    slot.release()
    assert spool.lock("gpu0").stat().st_ino == inode
    Slot.acquire(spool, "gpu0", timeout_seconds=0).release()
    assert spool.lock("gpu0").stat().st_ino == inode


def test_a_starting_daemon_waits_for_a_peer_that_holds_its_lock_for_a_moment(
    spool: Spool,
) -> None:
    with child(_hold, str(spool.root), "gpu0", 0.4):
        wait_for(lambda: scan(spool.slot_of("gpu0")), what="the holder")
        began = time.monotonic()
        slot = Slot.acquire(spool, "gpu0", timeout_seconds=10)
        assert 0.0 < time.monotonic() - began < 5
        slot.release()


def _hold(root: str, name: str, seconds: float = 60, starts: int = 0) -> None:
    """Hold a slot with one claimed ticket, started `starts` times."""
    slot = Slot.acquire(Spool.open(Path(root)), name)
    claim = claim_job(slot)
    for _ in range(starts):
        claim = claim.start()
    slot.claim(queue_job(slot.spool).name)
    time.sleep(seconds)


def _claims(spool: Spool, slot: str, starts: int = 0) -> bool:
    names = scan(spool.slot_of(slot))
    return len(names) == 2 and max(name.starts for name in names) == starts


def test_the_tickets_of_a_killed_holder_are_queued_again_by_a_peer(spool: Spool) -> None:
    peer = Slot.acquire(spool, "gpu1")
    with child(_hold, str(spool.root), "gpu0", 60, 1) as process:
        wait_for(lambda: _claims(spool, "gpu0", 1), what="the holder")
        tickets = scan(spool.slot_of("gpu0"))
        assert list(peer.orphans(starting=False)) == []
        assert recover(peer, starting=False) == []
        assert scan(spool.slot_of("gpu0")) == tickets
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    report = recover(peer, starting=False)
    assert scan(spool.queued) == tickets
    assert sorted(name.starts for name in tickets) == [0, 1]
    assert scan(spool.slot_of("gpu0")) == []
    assert len(report) == 2
    assert all("queued again" in line for line in report)


def test_a_daemon_that_starts_finds_the_tickets_of_its_own_past(spool: Spool) -> None:
    with child(_hold, str(spool.root), "gpu0") as process:
        wait_for(lambda: _claims(spool, "gpu0"), what="the holder")
        process.kill()
        process.join()
    slot = Slot.acquire(spool, "gpu0", timeout_seconds=5)
    assert len(list(slot.orphans(starting=False))) == 0
    assert len(list(slot.orphans(starting=True))) == 2
    recover(slot, starting=True)
    assert len(scan(spool.queued)) == 2


def test_while_an_orphan_is_handed_out_its_slot_is_held(spool: Spool) -> None:
    dead = Slot.acquire(spool, "gpu0")
    claim_job(dead)
    dead.release()
    orphans = Slot.acquire(spool, "gpu1").orphans(starting=False)
    assert next(orphans).directory == dead.directory
    with pytest.raises(SlotBusy):
        Slot.acquire(spool, "gpu0", timeout_seconds=0)
    assert list(orphans) == []
    Slot.acquire(spool, "gpu0", timeout_seconds=0)


def test_a_stray_file_among_the_slots_stops_no_recovery(spool: Spool) -> None:
    (spool.active / "README").touch()
    assert list(Slot.acquire(spool, "gpu1").orphans(starting=True)) == []


def test_what_is_being_cancelled_is_no_orphan(spool: Spool) -> None:
    """It is finished by `recover`; a slot would queue it again."""
    ticket = queue_job(spool)
    (spool.queued / str(ticket.name)).rename(spool.slot_of(CANCEL_SLOT) / str(ticket.name))
    assert list(Slot.acquire(spool, "gpu0").orphans(starting=True)) == []


def test_a_job_that_killed_its_daemon_twice_is_held_with_the_reason(spool: Spool) -> None:
    ticket = queue_job(spool)
    for death in range(MAX_STARTS):
        slot = Slot.acquire(spool, "gpu0")
        recover(slot, starting=True)
        [name] = scan(spool.queued)
        assert name.starts == death
        claim = slot.claim(name)
        assert claim is not None
        claim.start()
        slot.release()
    slot = Slot.acquire(spool, "gpu0")
    [line] = recover(slot, starting=True)
    assert "held, its daemon died 2 times" in line
    assert scan(spool.queued) == []
    found = find(spool, ticket.job_id)
    assert found is not None
    assert found.status is Status.HELD
    last = last_event(spool.events(ticket.job_id))
    assert last is not None
    assert last.data["status"] == "held"
    view = job_view(spool, ticket.job_id)
    assert view is not None
    assert view.error is not None
    assert view.error["detail"] == "its daemon died 2 times after it was started"
    assert recover(slot, starting=True) == []


def test_a_daemon_that_dies_before_the_start_counts_nothing(spool: Spool) -> None:
    queue_job(spool)
    for _ in range(5):
        slot = Slot.acquire(spool, "gpu0")
        recover(slot, starting=True)
        [name] = scan(spool.queued)
        assert slot.claim(name) is not None
        slot.release()
    slot = Slot.acquire(spool, "gpu0")
    recover(slot, starting=True)
    assert [name.starts for name in scan(spool.queued)] == [0]


def test_a_ticket_that_is_gone_is_not_read(spool: Spool) -> None:
    ticket = queue_job(spool)
    (spool.queued / str(ticket.name)).unlink()
    assert read_claim(spool, spool.queued, ticket.name) is None
    assert scan(spool.held) == []


def _live_dangerously(root: str, slot_name: str, log: str) -> None:
    """Claim one job after another and lay it aside as done, until killed."""
    spool = Spool.open(Path(root))
    slot = Slot.acquire(spool, slot_name)
    recover(slot, starting=True)
    while True:
        for name in scan(spool.queued)[:3]:
            claim = slot.claim(name)
            if claim is not None:
                _run(claim, Path(log))
        recover(slot, starting=False)


def _run(claim: Claim, log: Path) -> None:
    running = os.open(log.with_name(f"running-{claim.job_id}"), os.O_CREAT | os.O_WRONLY)
    try:
        fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with log.open("a") as file:
            file.write(f"{claim.job_id} ran twice at once\n")
    time.sleep(0.002)
    # Not started, so that no number of deaths holds it.
    claim.path.rename(claim.spool.done / str(claim.name))
    os.close(running)


def test_no_job_is_lost_or_run_twice_at_once_while_daemons_are_killed(
    spool: Spool, tmp_path: Path
) -> None:
    """Overlaps are told by a lock of each job's own, which the protocol knows nothing of."""
    queued = {queue_job(spool).job_id for _ in range(300)}
    log = tmp_path / "log"
    log.touch()
    deadline = time.monotonic() + 40
    kills = 0
    while len(scan(spool.done)) < 300:
        assert time.monotonic() < deadline, f"{len(scan(spool.done))} of 300 after {kills} kills"
        enough = min(len(scan(spool.done)) + 15, 300)
        with (
            child(_live_dangerously, str(spool.root), "gpu0", str(log)),
            child(_live_dangerously, str(spool.root), "gpu1", str(log)),
        ):
            while len(scan(spool.done)) < enough:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        kills += 2
    assert {name.job_id for name in scan(spool.done)} == queued
    assert states.job_ids_with_tickets(spool) == set()
    assert log.read_text() == ""
    assert kills >= 10

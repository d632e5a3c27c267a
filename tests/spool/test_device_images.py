"""Power cuts: what the disk holds at any moment of a job's life is enough to take it up again."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spool import drops, durable, patience
from spool.acceptance import admit, admit_keyed, recover_admissions
from spool.claims import Slot
from spool.control import Verb, command
from spool.finishing import finish
from spool.gallery import PictureName
from spool.intake import Intake
from spool.layout import Spool
from spool.outgoing import outgoing_name
from spool.records import Record, newest_first, read_record
from spool.recovery import recover
from spool.states import TicketName, scan
from spool.tickets import Ticket
from tests.spool.crashes import stopped_at_each_effect
from tests.spool.device_images import KINDS, Disk, Kind, new_disk
from tests.spool.dropbox import CATALOGUE, JOB
from tests.spool.samples import completed, draw, hold_job, publish_pictures


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    kind: Kind = request.param
    with new_disk(kind) as made:
        yield made


@pytest.fixture
def spool(disk: Disk) -> Spool:
    made = Spool.create(disk.root / "spool")
    disk.sync()
    return made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of the intake takes or refuses all that is there."""
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(patience, "REFUSE_SECONDS", 0.0)


@contextlib.contextmanager
def _after_power_cut(disk: Disk) -> Iterator[Spool]:
    with disk.after_power_cut() as root:
        yield Spool.open(root / "spool")


def _take_drops(spool: Spool) -> None:
    drops.restore_set_aside(spool)
    Intake(spool, lambda: CATALOGUE)._round()


def _run_first(spool: Spool) -> None:
    """What a daemon does with the first job of the queue."""
    slot = Slot.acquire(spool, "gpu0")
    claim = slot.claim(scan(spool.queued)[0])
    assert claim is not None
    claim = claim.start()
    publish_pictures(spool, claim.ticket)
    claim = claim.uncount()
    finish(claim, completed(claim.ticket))
    slot.release()


def _run_all(spool: Spool) -> None:
    """What a cut undid or doubled is run again, or found to be done."""
    while scan(spool.queued):
        _run_first(spool)


def _recover(spool: Spool) -> None:
    """What the first daemon does after the power is back."""
    recover_admissions(spool)
    slot = Slot.acquire(spool, "gpu0")
    recover(slot, starting=True)
    slot.release()


def _tickets(spool: Spool) -> list[Path]:
    places = [spool.queued, *spool.active.iterdir(), spool.held]
    return [place / str(name) for place in places for name in scan(place)]


def _places_of_jobs(spool: Spool) -> Counter[str]:
    """In how many states each job is."""
    tickets = (TicketName.parse(path.name) for path in _tickets(spool))
    return Counter([*newest_first(spool), *(name.job_id for name in tickets if name)])


def _drop_names(spool: Spool) -> list[str | None]:
    """Of which drops there are jobs, in whatever state."""
    tickets = [Ticket.decode(path.read_bytes()).drop_name for path in _tickets(spool)]
    records = [read_record(spool, job_id) for job_id in newest_first(spool)]
    return [*tickets, *(record.drop_name for record in records if record)]


def _assert_whole(spool: Spool) -> None:
    """Nothing that has a name is empty or less than what it stands for."""
    for place in (spool.queued, spool.done, spool.gallery, spool.outgoing, spool.rejected):
        for path in place.rglob("*"):
            status = path.stat()
            assert status.st_size > 0 or stat.S_ISDIR(status.st_mode), f"{path} is empty"
    for job_id in newest_first(spool):
        record = read_record(spool, job_id)
        assert record is not None
        _assert_pictures(record, lambda name: name.picture(spool))
    for result in spool.outgoing.rglob("result.json"):
        folder = result.parent
        record = Record.decode(result.read_bytes())
        _assert_pictures(record, lambda name, folder=folder: folder / str(name))  # type: ignore[misc]
        if record.images:
            lines = (folder / "SHA256SUMS").read_text().splitlines()
            assert len(lines) == len(record.images)


def _assert_pictures(record: Record, path_of: Callable[[PictureName], Path]) -> None:
    for image in record.images:
        name = PictureName.parse(image.filename)
        assert name is not None
        assert hashlib.sha256(path_of(name).read_bytes()).hexdigest() == image.sha256


def _live(spool: Spool, said: list[str]) -> None:
    """Two jobs' lives and two drops; `said` is what was promised by then."""
    first = draw(spool, count=2, drop_name="first.json", key="k", priority=90)
    admit_keyed(spool, first)
    said.append(f"accepted {first.job_id}")
    second = draw(spool, priority=1)
    admit(spool, second)
    said.append(f"accepted {second.job_id}")
    _take_drops(spool)
    _run_first(spool)
    said.append(f"finished {first.job_id}")
    command(spool, Verb.CANCEL, second.job_id)
    said.append(f"finished {second.job_id}")


def _assert_kept(spool: Spool, said: list[str]) -> None:
    _assert_whole(spool)
    _recover(spool)
    _take_drops(spool)
    for promise in said:
        kind, job_id = promise.split()
        assert job_id in _places_of_jobs(spool), promise
        if kind == "finished":
            record = read_record(spool, job_id)
            assert record is not None, promise
            if record.drop_name is not None:
                folder = spool.outgoing / outgoing_name(record.drop_name) / job_id
                assert (folder / "result.json").exists(), promise
    assert _drop_names(spool).count("good.json") == 1
    assert (spool.rejected / "bad.json").read_text() == "hello"
    assert list(spool.incoming.iterdir()) == []
    _run_all(spool)
    _assert_whole(spool)
    assert set(_places_of_jobs(spool).values()) == {1}


def test_a_power_cut_at_any_moment_loses_nothing_that_was_promised(
    disk: Disk, spool: Spool
) -> None:
    (spool.incoming / "good.json").write_text(JOB)
    (spool.incoming / "bad.json").write_text("hello")
    disk.sync()
    stops = stopped_at_each_effect(lambda said: _live(spool, said))
    with contextlib.closing(stops):
        for said in itertools.islice(stops, 0, None, 1 if disk.kind.name == "ext4" else 3):
            with _after_power_cut(disk) as left:
                _assert_kept(left, said)
    assert len(said) >= 3


def test_a_power_cut_behind_a_release_leaves_the_job_in_the_queue_alone(
    disk: Disk, spool: Spool
) -> None:
    job_id = hold_job(spool).job_id
    disk.sync()

    def let_go(said: list[str]) -> None:
        assert command(spool, Verb.RELEASE, job_id)
        said.append("released")

    with contextlib.closing(stopped_at_each_effect(let_go)) as stops:
        for said in stops:
            with _after_power_cut(disk) as left:
                _recover(left)
                assert _places_of_jobs(left) == {job_id: 1}
                assert not said or scan(left.queued)


def test_a_new_spool_is_whole_after_a_power_cut(disk: Disk) -> None:
    made = Spool.create(disk.root / "below" / "spool")
    with disk.after_power_cut() as root:
        left = {path.relative_to(root) for path in root.rglob("*")}
    assert {path.relative_to(disk.root) for path in made.root.rglob("*")} <= left


@pytest.mark.parametrize("old", [[], ["a"], ["a", "b"]])
def test_a_synced_directory_brings_the_new_ones_above_it_along(
    disk: Disk, spool: Spool, old: list[str]
) -> None:
    disk.root.joinpath(*old).mkdir(parents=True, exist_ok=True)
    disk.sync()
    (disk.root / "a" / "b" / "c").mkdir(parents=True)
    durable.publish(disk.root / "a" / "b" / "c" / "file", b"x", scratch=spool.tmp)
    with disk.after_power_cut() as root:
        assert (root / "a" / "b" / "c" / "file").read_bytes() == b"x"


@pytest.mark.parametrize("key", [None, "k"])
def test_a_job_that_is_claimed_before_its_name_was_durable_is_not_lost(
    disk: Disk, spool: Spool, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    slot = Slot.acquire(spool, "gpu0")
    ticket = draw(spool, key=key)
    disk.sync()
    sync = durable.sync_directories

    def claim_first(*directories: Path) -> None:
        if spool.queued in directories:
            claim = slot.claim(ticket.name)
            assert claim is not None
            claim.start()
        sync(*directories)

    monkeypatch.setattr(durable, "sync_directories", claim_first)
    if key:
        admit_keyed(spool, ticket)
    else:
        admit(spool, ticket)
    sync(spool.pending)  # as the next admission does
    with _after_power_cut(disk) as left:
        _recover(left)
        assert _places_of_jobs(left) == {ticket.job_id: 1}


def test_a_refused_file_is_kept_whole_though_its_writer_did_not_sync_it(
    disk: Disk, spool: Spool
) -> None:
    (spool.incoming / "bad.json").write_text("hello")
    _take_drops(spool)
    with _after_power_cut(disk) as left:
        assert (left.rejected / "bad.json").read_text() == "hello"


def _killed_behind_a_commit(disk: Disk, action: Callable[[], object], effects: int) -> bool:
    """Kill a child behind `effects` effects, of which all but the last are on the disk.

    btrfs alone of the three forgets the last, if what is synced next is something else. False
    if the child had ended before.
    """
    with contextlib.closing(stopped_at_each_effect(lambda said: action())) as stops:
        for number, _ in enumerate(stops, 1):
            if number == effects:
                disk.sync()
            if number > effects:
                return True
    return False


def test_a_drop_that_was_taken_after_a_kill_outlives_a_power_cut(disk: Disk) -> None:
    for effects in itertools.count(1):
        spool = Spool.create(disk.root / str(effects))
        (spool.incoming / "good.json").write_text(JOB)
        disk.sync()
        if not _killed_behind_a_commit(disk, lambda spool=spool: _take_drops(spool), effects):  # type: ignore[misc]
            break
        _take_drops(spool)
        durable.sync_directories(spool.pending)  # as the next admission does
        with disk.after_power_cut() as root:
            left = Spool.open(root / str(effects))
            _recover(left)
            _take_drops(left)
            assert _drop_names(left) == ["good.json"]
            assert list(left.incoming.iterdir()) == []
    assert effects > 15


def test_a_job_that_was_finished_after_a_kill_outlives_a_power_cut(disk: Disk) -> None:
    for effects in itertools.count(1, 1 if disk.kind.name == "btrfs" else 4):
        spool = Spool.create(disk.root / str(effects))
        ticket = draw(spool, drop_name="a.json")
        admit(spool, ticket)
        disk.sync()
        if not _killed_behind_a_commit(disk, lambda spool=spool: _run_first(spool), effects):  # type: ignore[misc]
            break
        _recover(spool)
        _run_all(spool)
        durable.sync_directories(spool.slot_of("gpu0"))  # as the next put-back does
        with disk.after_power_cut() as root:
            left = Spool.open(root / str(effects))
            _assert_whole(left)
            _recover(left)
            _run_all(left)
            assert list(newest_first(left)) == [ticket.job_id]
            assert _tickets(left) == []
            assert (left.outgoing / "a" / ticket.job_id / "result.json").exists()
    assert effects > 30


def _only_directories(descriptor: int, sync: Callable[[int], None] = os.fsync) -> None:
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        sync(descriptor)


def test_a_copy_of_the_image_lacks_the_content_that_was_not_synced(
    disk: Disk, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = draw(spool)
    monkeypatch.setattr(os, "fsync", _only_directories)
    admit(spool, ticket)
    with _after_power_cut(disk) as left:
        assert (left.queued / str(ticket.name)).stat().st_size == 0


def test_a_copy_of_the_image_lacks_the_names_that_were_not_synced(
    disk: Disk, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "sync_directories", lambda *_: None)
    admit(spool, draw(spool))
    with _after_power_cut(disk) as left:
        assert scan(left.queued) == []

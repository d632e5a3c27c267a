"""Real transfers into the drop box of a service that is not root, and out of outgoing/."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from spool.claims import Slot
from spool.finishing import finish
from spool.layout import Spool
from spool.outcomes import Outcome, record_of
from spool.presence import restore
from spool.states import Status, scan
from tests.services import wait_for
from tests.spool.dropbox import (
    JOB,
    delivered_reason,
    drop_names,
    hasten,
    left_over,
    queued_tickets,
    reason,
    rejected,
)
from tests.spool.processes import as_root, become, child
from tests.spool.samples import completed, publish_pictures
from tests.spool.senders import DAEMON, MEMBER, OWNER, ROOT, Sender, service_spool, serving

pytestmark = [
    as_root,
    pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed"),
]

DOCUMENTED = ("rsync", "-rt", "--omit-dir-times")
SCANS_SECONDS = 1.2
EVERYONE = pytest.mark.parametrize("sender", [MEMBER, ROOT, OWNER], ids=lambda it: it.name)


@dataclass
class Box:
    """A served drop box, and a directory that senders may use."""

    spool: Spool
    home: Path
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def jobs(self, sender: Sender, *names: str, text: str = JOB) -> Path:
        """A directory of `sender`'s with a job under each of `names`."""
        directory = self.home / "jobs"
        for name in names:
            sender.write(directory / name, text, mtime=1_700_000_000)
        return directory

    def send(self, sender: Sender, *options: str) -> int:
        """What cron does: the documented rsync, with `options`; waits until all is taken."""
        status = sender.run(*DOCUMENTED, *options, f"{self.home}/jobs/", f"{self.spool.incoming}/")
        self.settle()
        return status

    def settle(self) -> None:
        wait_for(lambda: not left_over(self.spool), seconds=15, what="all to be taken")


@pytest.fixture
def box(public_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    hasten(monkeypatch)
    spool = service_spool(public_directory)
    with serving(spool) as log:
        wait_for(log.exists, what="the intake")
        yield Box(spool, public_directory, log)
        assert "Traceback" not in log.read_text()


@EVERYONE
def test_a_cron_that_sends_the_same_files_again_renders_each_once(box: Box, sender: Sender) -> None:
    names = ["a.json", "b.json", "c.json"]
    box.jobs(sender, *names)
    assert [box.send(sender) for _ in range(4)] == [0, 0, 0, 0]
    assert drop_names(box.spool) == names
    assert box.log.count("accepted") == 3
    assert {ticket.owner_uid for ticket in queued_tickets(box.spool)} == {sender.uid}
    assert rejected(box.spool) == []


@pytest.mark.parametrize(
    "options",
    [
        ("--delay-updates",),
        ("--inplace",),
        ("--partial",),
        ("--partial-dir=.half",),
        ("--temp-dir=/tmp",),
        ("--append",),
        ("--checksum", "--compress"),
        ("--sparse", "--whole-file"),
    ],
    ids=" ".join,
)
def test_each_way_that_rsync_writes_a_file_makes_one_job(
    box: Box, options: tuple[str, ...]
) -> None:
    box.jobs(MEMBER, "a.json", "b.json")
    assert [box.send(MEMBER, *options) for _ in range(2)] == [0, 0]
    assert drop_names(box.spool) == ["a.json", "b.json"]
    assert rejected(box.spool) == []


def test_a_temporary_directory_of_the_same_disk_is_as_good(box: Box) -> None:
    (box.home / "temporary").mkdir(mode=0o777)
    (box.home / "temporary").chmod(0o777)
    box.jobs(MEMBER, "a.json")
    assert box.send(MEMBER, f"--temp-dir={box.home}/temporary") == 0
    assert drop_names(box.spool) == ["a.json"]


def test_files_that_the_sender_removes_are_sent_once(box: Box) -> None:
    directory = box.jobs(MEMBER, "a.json", "b.json")
    assert [box.send(MEMBER, "--remove-source-files") for _ in range(2)] == [0, 0]
    assert list(directory.iterdir()) == []
    assert drop_names(box.spool) == ["a.json", "b.json"]


def test_a_touched_and_an_edited_file_are_new_jobs(box: Box) -> None:
    directory = box.jobs(MEMBER, "touched.json", "edited.json", "same.json")
    box.send(MEMBER)
    os.utime(directory / "touched.json", (1_700_000_100, 1_700_000_100))
    MEMBER.write(directory / "edited.json", '{"prompt": "a blue one"}', mtime=1_700_000_000)
    for _ in range(2):
        box.send(MEMBER)
    names = ["edited.json", "edited.json", "same.json", "touched.json", "touched.json"]
    assert drop_names(box.spool) == names


def test_a_refused_file_that_is_sent_again_has_one_reason_until_it_is_mended(box: Box) -> None:
    directory = box.jobs(MEMBER, "a.json", text='{"prompt": "x", "stpes": 3}')
    for _ in range(3):
        assert box.send(MEMBER) == 0
    assert rejected(box.spool) == ["a.json"]
    assert box.log.count("refused") == 1
    wait_for(lambda: delivered_reason(box.spool, "a.json"), seconds=5, what="the reason")
    why = reason(box.spool, "a.json")
    assert "stpes: no such field" in why
    assert delivered_reason(box.spool, "a.json") == why
    assert [path.name for path in (box.spool.outgoing / "a").iterdir()] == ["problem.json"]
    MEMBER.write(directory / "a.json", '{"prompt": "x", "steps": 3}')
    assert box.send(MEMBER) == 0
    assert drop_names(box.spool) == ["a.json"]
    assert delivered_reason(box.spool, "a.json") is None


def test_a_file_closed_to_the_daemon_is_refused_and_once_opened_accepted(box: Box) -> None:
    directory = box.jobs(MEMBER, "a.json")
    (directory / "a.json").chmod(0o600)
    assert box.send(MEMBER) == 0
    # The file itself is moved out of the drop box before its reason is delivered.
    wait_for(lambda: delivered_reason(box.spool, "a.json"), seconds=5, what="the reason")
    assert "chmod g+r" in reason(box.spool, "a.json")
    (directory / "a.json").chmod(0o640)
    assert box.send(MEMBER) == 0
    assert drop_names(box.spool) == ["a.json"]
    assert delivered_reason(box.spool, "a.json") is None


def test_plain_archive_mode_as_root_is_made_good_or_told_to_root(box: Box) -> None:
    """It gives the drop box the mode and the owner of the directory it sends."""
    directory = box.jobs(ROOT, "a.json")
    directory.chmod(0o755)
    assert ROOT.run("rsync", "-a", f"{directory}/", f"{box.spool.incoming}/") == 0
    wait_for(lambda: "chown it to the daemon's user" in box.log, seconds=10)
    wait_for(lambda: drop_names(box.spool) == ["a.json"], seconds=10)
    os.chown(box.spool.incoming, DAEMON, DAEMON)
    wait_for(lambda: "has 3730 again" in box.log, seconds=10)
    box.settle()
    assert drop_names(box.spool) == ["a.json"]
    assert stat.S_IMODE(box.spool.incoming.stat().st_mode) == 0o3730


def test_plain_archive_mode_as_the_daemons_user_is_made_good(box: Box) -> None:
    directory = box.jobs(OWNER, "a.json")
    directory.chmod(0o755)
    assert OWNER.run("rsync", "-a", f"{directory}/", f"{box.spool.incoming}/") == 0
    wait_for(lambda: "has 3730 again" in box.log, seconds=10)
    assert stat.S_IMODE(box.spool.incoming.stat().st_mode) == 0o3730
    box.settle()
    assert drop_names(box.spool) == ["a.json"]


def test_plain_archive_mode_as_a_member_brings_its_files_all_the_same(box: Box) -> None:
    directory = box.jobs(MEMBER, "a.json")
    for _ in range(2):
        assert MEMBER.run("rsync", "-a", f"{directory}/", f"{box.spool.incoming}/") == 23
        box.settle()
    assert drop_names(box.spool) == ["a.json"]
    assert stat.S_IMODE(box.spool.incoming.stat().st_mode) == 0o3730


def test_a_senders_sub_folder_keeps_its_files_and_none_runs_twice(box: Box) -> None:
    box.jobs(MEMBER, "batch/a.json", "batch/inner/b.json")
    box.jobs(MEMBER, "batch/bad.json", text="no")
    command = (*DOCUMENTED, f"{box.home}/jobs/", f"{box.spool.incoming}/")
    for _ in range(3):
        assert MEMBER.run(*command) == 0
        wait_for(lambda: len(drop_names(box.spool)) == 2, seconds=10)
        time.sleep(SCANS_SECONDS)
    assert drop_names(box.spool) == ["batch/a.json", "batch/inner/b.json"]
    assert left_over(box.spool) == ["batch/a.json", "batch/bad.json", "batch/inner/b.json"]
    assert box.log.count("stays: its folder") == 3
    assert box.log.count("refused") == 1
    assert "column 1" in (delivered_reason(box.spool, "batch/bad.json") or "")


def test_a_sub_folder_that_the_group_may_write_is_emptied(box: Box) -> None:
    box.jobs(MEMBER, "batch/a.json")
    command = (*DOCUMENTED, f"{box.home}/jobs/", f"{box.spool.incoming}/")
    (box.home / "jobs" / "batch").chmod(0o775)
    assert MEMBER.run(*command, umask=0o002) == 0
    box.settle()
    assert drop_names(box.spool) == ["batch/a.json"]
    assert "stays" not in box.log


WRITERS: dict[str, str] = {
    "cp": "cp $0 $1",
    "cp -p": "cp -p $0 $1",
    "mv": "cp $0 $0.mine && mv $0.mine $1",
    "mv of another disk": "cp $0 /dev/shm/genzo-$$ && mv /dev/shm/genzo-$$ $1",
    "ln": "ln $0 $1",
    "ln and rm": "cp $0 $1.part && ln $1.part $1 && rm $1.part",
    "sftp": "cp $0 $1.filepart && mv $1.filepart $1",
    "scp": "head -c 9 $0 > $1; sleep 0.1; tail -c +10 $0 >> $1",
    "a pause": "(head -c 9 $0; sleep 0.8; tail -c +10 $0) > $1",
    "appending": "head -c 9 $0 >> $1; sleep 0.8; tail -c +10 $0 >> $1",
    "an empty file first": ": > $1; sleep 0.6; cat $0 > $1",
    "install": "install -m 644 $0 $1",
    "dd": "dd if=$0 of=$1 bs=5 status=none",
}


@pytest.fixture(scope="module")
def written() -> dict[str, list[str]]:
    """What became of the files of all writers, who all wrote at once; as each sender."""
    with pytest.MonkeyPatch.context() as patch:
        hasten(patch)
        return {sender.name: _write_all(sender) for sender in (MEMBER, ROOT, OWNER)}


def _write(sender: Sender, home: Path, spool: Spool, number: int) -> int:
    source = sender.write(home / "source" / str(number), JOB)
    command = list(WRITERS.values())[number]
    return sender.run("sh", "-ec", command, source, spool.incoming / f"{number}.json")


def _write_all(sender: Sender) -> list[str]:
    home = Path("/tmp") / f"genzo-test-writers-{os.getpid()}-{sender.uid}"
    home.mkdir()
    home.chmod(0o777)
    try:
        spool = service_spool(home)
        with serving(spool):
            with ThreadPoolExecutor(len(WRITERS)) as threads:
                numbers = range(len(WRITERS))
                ends = threads.map(lambda number: _write(sender, home, spool, number), numbers)
            assert set(ends) == {0}
            wait_for(lambda: not left_over(spool), seconds=15, what=f"{left_over(spool)}")
        assert rejected(spool) == []
        return drop_names(spool)
    finally:
        shutil.rmtree(home)


@EVERYONE
@pytest.mark.parametrize("number", range(len(WRITERS)), ids=list(WRITERS))
def test_however_a_file_is_written_it_becomes_one_job(
    written: dict[str, list[str]], sender: Sender, number: int
) -> None:
    assert written[sender.name].count(f"{number}.json") == 1


@pytest.fixture
def slow(public_directory: Path) -> Iterator[Box]:
    """A box whose intake waits as long as the real one does."""
    spool = service_spool(public_directory)
    with serving(spool) as log:
        yield Box(spool, public_directory, log)


def test_a_writer_that_pauses_for_five_seconds_is_waited_for(slow: Box) -> None:
    path = slow.spool.incoming / "a.json"
    source = MEMBER.write(slow.home / "a.json", JOB)
    command = "(head -c 9 $0; sleep 5; tail -c +10 $0) > $1"
    assert MEMBER.run("sh", "-ec", command, source, path) == 0
    assert drop_names(slow.spool) == []
    slow.settle()
    assert drop_names(slow.spool) == ["a.json"]
    assert rejected(slow.spool) == []


def _render(spool: Spool, each: Callable[[Slot], None]) -> None:
    become(DAEMON)
    os.umask(0o077)
    each(Slot.acquire(spool, "gpu0"))


def _finish_all(slot: Slot) -> None:
    """Complete every queued job, but let those of no prompt fail."""
    for name in scan(slot.spool.queued):
        claim = slot.claim(name)
        assert claim is not None
        if claim.ticket.request.prompt:
            publish_pictures(slot.spool, claim.ticket)
            finish(claim, completed(claim.ticket))
        else:
            error = {"title": "Out of memory", "status": 500, "detail": "no more"}
            finish(claim, record_of(claim.ticket, Outcome(Status.FAILED, 1, error=error)))


def test_one_rsync_by_a_member_fetches_all_that_became_of_its_files(box: Box) -> None:
    box.jobs(MEMBER, "good.json", "twice/two.json", text='{"prompt": "x", "count": 2}')
    box.jobs(MEMBER, "fails.json", text='{"prompt": ""}')
    box.jobs(MEMBER, "bad.json", text="no")
    assert MEMBER.run(*DOCUMENTED, f"{box.home}/jobs/", f"{box.spool.incoming}/") == 0
    wait_for(lambda: len(drop_names(box.spool)) == 3, seconds=10)
    wait_for(lambda: delivered_reason(box.spool, "bad.json"), seconds=10)
    ids = {ticket.drop_name: ticket.job_id for ticket in queued_tickets(box.spool)}
    with child(_render, box.spool, _finish_all) as process:
        process.join(20)
        assert process.exitcode == 0
    results = box.home / "results"
    results.mkdir()
    os.chown(results, MEMBER.uid, MEMBER.gid)
    assert MEMBER.run("rsync", "-rt", f"{box.spool.outgoing}/", f"{results}/") == 0
    good, twice, fails = ids["good.json"], ids["twice/two.json"], ids["fails.json"]
    fetched = sorted(p.relative_to(results).as_posix() for p in results.rglob("*") if p.is_file())
    assert fetched == sorted(
        [
            "bad/problem.json",
            *(f"fails/{fails}/{name}" for name in ("problem.json", "result.json")),
            *(f"good/{good}/{name}" for name in ("SHA256SUMS", "result.json")),
            *(f"good/{good}/{good}-{n}.png" for n in range(2)),
            *(f"twice/two/{twice}/{name}" for name in ("SHA256SUMS", "result.json")),
            *(f"twice/two/{twice}/{twice}-{n}.png" for n in range(2)),
        ]
    )
    for folder in (results / "good" / good, results / "twice" / "two" / twice):
        command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
        checked = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_an_intake_that_is_root_gives_the_drop_box_back_to_the_spools_owner(
    public_directory: Path,
) -> None:
    spool = service_spool(public_directory)
    directory = ROOT.write(public_directory / "jobs" / "a.json", JOB).parent
    directory.chmod(0o755)
    assert ROOT.run("rsync", "-a", f"{directory}/", f"{spool.incoming}/") == 0
    owner, mode = restore(spool)
    assert f"belongs to user {DAEMON} and group {DAEMON} again" in owner
    assert "had mode 755 and has 3730 again" in mode
    status = spool.incoming.stat()
    assert (status.st_uid, status.st_gid) == (DAEMON, DAEMON)
    assert stat.S_IMODE(status.st_mode) == 0o3730
    assert restore(spool) == []

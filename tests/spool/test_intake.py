from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from spool import ids, patience
from spool.layout import Spool
from spool.strict_json import MAX_BYTES
from spool.tickets import Ticket
from tests.services import wait_for
from tests.spool.dropbox import (
    JOB,
    PACKAGE,
    drop_names,
    left_over,
    logged,
    queued_tickets,
    reason,
    running,
)
from tests.spool.samples import queue_job

STILL = patience.STILL_SECONDS
REFUSE = 4.0


@dataclass
class Session:
    """What one run of intake did with everything that was dropped at once."""

    spool: Spool
    victim: Ticket
    log: list[str] = field(default_factory=list)
    dropped_ms: dict[str, int] = field(default_factory=dict)
    rsync: list[int] = field(default_factory=list)

    def note(self, name: str) -> Path:
        """The path of a drop that begins now."""
        self.dropped_ms[name] = time.time_ns() // 1_000_000
        return self.spool.incoming / name

    def jobs(self, prefix: str) -> list[Ticket]:
        tickets = queued_tickets(self.spool)
        return [ticket for ticket in tickets if (ticket.drop_name or "").startswith(prefix)]

    def seconds(self, name: str) -> float:
        """How long it took until the drop was accepted."""
        [ticket] = self.jobs(name)
        return (ids.created_ms(ticket.job_id) - self.dropped_ms[name]) / 1000


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    home = tmp_path_factory.mktemp("intake")
    spool = Spool.create(home / "spool")
    session = Session(spool, queue_job(spool, prompt="not yours"))
    with pytest.MonkeyPatch.context() as patch, logged() as log:
        patch.setattr(patience, "REFUSE_SECONDS", REFUSE)
        PACKAGE.setLevel(logging.INFO)
        with running(spool), running(spool):
            threads = [
                threading.Thread(target=act, args=(session, home))
                for act in (_write_slowly, _write_after_moving_out, _swap_folder, _rsync)
            ]
            time.sleep(0.3)
            for thread in threads:
                thread.start()
            _drop_everything(session, home)
            for thread in threads:
                thread.join()
            refused = spool.rejected / "truncated.json.problem.json"
            wait_for(refused.exists, seconds=20, what="the last refusal")
            wait_for(lambda: session.jobs("slow.json"), seconds=20, what="the slow writer")
            wait_for(lambda: not os.path.lexists(spool.incoming / "evil"), what="the evil link")
        PACKAGE.setLevel(logging.NOTSET)
        session.log = log.lines
    return session


def _drop_everything(session: Session, home: Path) -> None:
    spool = session.spool
    source = home / "job.json"
    source.write_text(JOB)
    subprocess.run(["cp", source, session.note("cp.json")], check=True)
    shutil.copy(source, home / "moved.json")
    subprocess.run(["mv", home / "moved.json", session.note("mv.json")], check=True)
    folder = home / "batch"
    (folder / "inner" / "x.json").mkdir(parents=True)
    for name in ("1.json", "2.json", "inner/3.json", "inner/x.json/4.json"):
        (folder / name).write_text(JOB)
    folder.rename(session.note("batch"))

    def drop(name: str | bytes, content: str | bytes = JOB) -> Path:
        path = session.note(os.fsdecode(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(data)
        return path

    for name in (".hidden.json", ".temp.json.MdWKNL", "edited.json~", "half.part", ".d/a.json"):
        drop(name)
    drop("x.json/inside.json")
    drop("n" * 250 + ".json")
    drop("n" * 251 + "json", "not a job")
    drop(b"caf\xe9.json")
    drop("new\nline\x1b[2J.json", '{"prompt": "x", "\\u001b[31mred\\nINFO forged": 1}')
    drop("no-ending")
    drop("commented.json", f"// a job\n{JOB} /* end */")
    drop("20261123T121728417-7f3a9c.json")
    drop("99991231T235959999-7f3a9c.json")
    drop("truncated.json", JOB[:-5])
    drop("empty.json", b"")
    drop("text.json", "hello")
    drop("list.json", "[1]")
    drop("bom.json", b"\xef\xbb\xbf" + JOB.encode())
    drop("field.json", '{"prompt": "x", "stpes": 3}')
    drop("range.json", '{"prompt": "x", "width": 100}')
    drop("model.json", '{"prompt": "x", "model": "nosuch"}')
    drop("oversized.json", "x" * (MAX_BYTES + 1))
    os.truncate(drop("sparse.json", b""), 2**40)
    session.note("link.json").symlink_to(source)
    os.mkfifo(session.note("pipe.json"))
    here = os.open(spool.incoming, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/socket.json")
    os.close(here)


def _write_slowly(session: Session, _: Path) -> None:
    with session.note("slow.json").open("w") as file:
        for half in (JOB[:10], JOB[10:]):
            file.write(half)
            file.flush()
            time.sleep(STILL + 0.3)


def _write_after_moving_out(session: Session, home: Path) -> None:
    path = session.note("again.json")
    path.write_text("{")
    path.rename(home / "taken-back.json")
    path.write_text(JOB[:10])
    # watchdog tells of the rename only half a second later.
    time.sleep(1.0)
    path.write_text(JOB)


def _swap_folder(session: Session, home: Path) -> None:
    """A stranger who would have another's ticket removed."""
    name = str(session.victim.name)
    session.note(f"evil/{name}").parent.mkdir()
    (session.spool.incoming / "evil" / name).write_text(JOB[:-1])
    time.sleep(0.5)
    (session.spool.incoming / "evil").rename(home / "evil")
    (session.spool.incoming / "evil").symlink_to(session.spool.queued)


def _rsync(session: Session, home: Path) -> None:
    if shutil.which("rsync") is None:
        return
    jobs = home / "jobs"
    jobs.mkdir()
    for number in range(3):
        (jobs / f"rsync-{number}.json").write_text(JOB)
    incoming = f"{session.spool.incoming}/"

    def send(*options: str) -> None:
        command = ["rsync", *options, f"{jobs}/", incoming]
        session.rsync.append(subprocess.run(command, check=False).returncode)
        taken = lambda: not list(session.spool.incoming.glob("rsync-*"))  # noqa: E731
        wait_for(taken, seconds=20, what="rsync's files")

    documented = ("-rt", "--omit-dir-times")
    send(*documented)
    send(*documented)
    os.utime(jobs / "rsync-0.json", (10**9, 10**9))
    send(*documented)
    (jobs / "rsync-delayed.json").write_text(JOB)
    send(*documented, "--delay-updates")


@pytest.mark.parametrize(
    "name",
    [
        "cp.json",
        "mv.json",
        "slow.json",
        "again.json",
        "x.json/inside.json",
        "n" * 250 + ".json",
        "no-ending",
        "commented.json",
        "batch/1.json",
        "batch/2.json",
        "batch/inner/3.json",
        "batch/inner/x.json/4.json",
    ],
)
def test_a_whole_file_becomes_one_job_and_is_removed(session: Session, name: str) -> None:
    [ticket] = session.jobs(name)
    assert ticket.request.prompt == "a red circle"
    assert (ticket.origin, ticket.owner_uid) == ("drop", os.getuid())
    assert not (session.spool.incoming / name).exists()


def test_a_file_that_was_moved_in_is_taken_at_once(session: Session) -> None:
    assert session.seconds("mv.json") < STILL - 0.5


def test_a_file_that_was_copied_is_taken_when_it_has_been_still(session: Session) -> None:
    assert STILL <= session.seconds("cp.json") < STILL + 1.5


def test_a_file_that_is_written_in_two_halves_is_taken_after_the_second(session: Session) -> None:
    assert 2 * STILL + 0.3 <= session.seconds("slow.json") < 2 * STILL + 2
    assert not (session.spool.rejected / "slow.json").exists()


def test_a_name_that_was_moved_out_says_nothing_of_its_next_file(session: Session) -> None:
    assert session.seconds("again.json") >= 1.0 + STILL
    assert not (session.spool.rejected / "again.json").exists()


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_rsync_run_again_makes_no_duplicates_and_a_touched_file_a_new_job(
    session: Session,
) -> None:
    assert session.rsync == [0, 0, 0, 0]
    names = [ticket.drop_name for ticket in session.jobs("rsync-")]
    assert sorted(filter(None, names)) == [
        "rsync-0.json",
        "rsync-0.json",
        "rsync-1.json",
        "rsync-2.json",
        "rsync-delayed.json",
    ]


def test_unfinished_transfers_are_left_alone(session: Session) -> None:
    assert left_over(session.spool) == [
        ".d/a.json",
        ".hidden.json",
        ".temp.json.MdWKNL",
        "edited.json~",
        "half.part",
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("text.json", "line 1, column 1"),
        ("list.json", "a list"),
        ("bom.json", "byte-order mark"),
        ("field.json", "stpes: no such field"),
        ("range.json", "width: 100 is not a multiple of 8"),
        ("model.json", "model: no model is named 'nosuch'"),
        ("oversized.json", f"{MAX_BYTES + 1} bytes"),
        ("sparse.json", f"{2**40} bytes"),
        ("truncated.json", "line 1, column"),
        ("empty.json", "empty"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason_and_kept(
    session: Session, name: str, says: str
) -> None:
    assert says in reason(session.spool, name)
    assert (session.spool.rejected / name).is_file()
    assert session.jobs(name) == []
    assert not (session.spool.incoming / name).exists()


@pytest.mark.parametrize("name", ["link.json", "pipe.json", "socket.json"])
def test_what_is_no_regular_file_is_refused_and_not_kept(session: Session, name: str) -> None:
    assert "regular file" in reason(session.spool, name)
    assert not os.path.lexists(session.spool.rejected / name)
    assert not os.path.lexists(session.spool.incoming / name)


def test_a_beginning_is_refused_only_after_a_long_stillness(session: Session) -> None:
    refused = session.spool.rejected / "truncated.json.problem.json"
    waited = refused.stat().st_mtime - session.dropped_ms["truncated.json"] / 1000
    assert REFUSE <= waited < REFUSE + 2


def test_what_can_never_become_a_job_is_refused_soon(session: Session) -> None:
    refused = session.spool.rejected / "text.json.problem.json"
    waited = refused.stat().st_mtime - session.dropped_ms["text.json"] / 1000
    assert STILL <= waited < REFUSE


def test_a_name_that_is_not_utf_8_is_refused(session: Session) -> None:
    name = os.fsdecode(b"caf\xe9.json")
    assert "not valid UTF-8" in reason(session.spool, name)
    assert (session.spool.rejected / name).read_text() == JOB


def test_a_refused_name_of_255_bytes_is_kept_with_its_reason(session: Session) -> None:
    kept = sorted(path for path in session.spool.rejected.iterdir() if path.name.startswith("nn"))
    assert len(kept) == 2
    assert kept[0].read_text() == "not a job"
    assert kept[1].name == f"{kept[0].name}.problem.json"


def test_no_text_of_a_stranger_begins_a_line_of_the_log(session: Session) -> None:
    about = [line for line in session.log if "forged" in line]
    assert len(about) == 1
    assert all(line.isprintable() for line in session.log)


def test_every_job_has_its_line_in_the_log(session: Session) -> None:
    for ticket in queued_tickets(session.spool):
        if ticket != session.victim:
            lines = [line for line in session.log if line.startswith(f"{ticket.job_id}: accepted")]
            assert len(lines) == 1
    assert not [line for line in session.log if "Traceback" in line]


def test_a_well_formed_id_is_kept_and_one_of_the_far_future_is_not(session: Session) -> None:
    [kept] = session.jobs("20261123T121728417-7f3a9c")
    [other] = session.jobs("9999")
    assert kept.job_id == "20261123T121728417-7f3a9c"
    assert other.job_id < "9999"


def test_a_folder_that_became_a_link_gives_no_power_over_others_tickets(session: Session) -> None:
    assert session.victim in queued_tickets(session.spool)
    assert "regular file" in reason(session.spool, "evil")
    assert not os.path.lexists(session.spool.rejected / "evil")
    assert not os.path.lexists(session.spool.incoming / "evil")


def test_nothing_was_accepted_twice_by_two_intakes(session: Session) -> None:
    names = [name for name in drop_names(session.spool) if not name.startswith("rsync-")]
    assert len(names) == len(set(names))
    assert list(session.spool.pending.iterdir()) == []
    assert list(session.spool.tmp.iterdir()) == []

"""Files that change under intake's hands, and disks that fail it for a while."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spool import acceptance, drops, patience
from spool.drops import Drop
from spool.intake import Intake
from spool.layout import Spool
from tests.spool.dropbox import (
    CATALOGUE,
    JOB,
    drop_names,
    left_over,
    logged,
    moved_in,
    queued_tickets,
    reason,
    rejected,
)

SECOND = '{"prompt": "the second"}'


@pytest.fixture
def intake(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> Intake:
    """An intake that waits for nothing; each round is asked for."""
    monkeypatch.setattr(patience, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(patience, "REFUSE_SECONDS", 0.0)
    return Intake(spool, lambda: CATALOGUE)


def _round(intake: Intake) -> None:
    intake._rescan()
    intake._round()


def _prompts(spool: Spool) -> list[str]:
    return [ticket.request.prompt for ticket in queued_tickets(spool)]


def _once_before_reading(change: Callable[[], object]) -> Callable[..., Drop]:
    """`drops.read`, but that `change` happens just before the first call."""
    real = drops.read
    changes = iter([change])

    def read(*arguments: Any) -> Drop:
        for todo in changes:
            todo()
        return real(*arguments)

    return read


def _rewrite(path: Path) -> None:
    """As `>` does: the same file, emptied first."""
    path.write_text(SECOND[:9])


def _replace(path: Path) -> None:
    other = path.with_name(".other")
    other.write_text(SECOND[:9])
    other.rename(path)


@pytest.mark.parametrize("change", [_rewrite, _replace])
def test_a_file_that_is_written_anew_before_it_is_read_is_not_refused_for_its_half(
    spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    path = moved_in(spool, "a.json")
    monkeypatch.setattr(drops, "read", _once_before_reading(lambda: change(path)))
    _round(intake)
    assert (_prompts(spool), rejected(spool), left_over(spool)) == ([], [], ["a.json"])
    path.write_text(SECOND)
    _round(intake)
    assert (_prompts(spool), rejected(spool), left_over(spool)) == (["the second"], [], [])


def test_a_file_that_grows_while_it_is_read_is_taken_when_it_is_whole(
    spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = moved_in(spool, "a.json", SECOND)
    real = os.read
    grown: list[bool] = []

    def read(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        if data == SECOND.encode() and not grown:
            grown.append(True)
            with path.open("a") as file:
                file.write(" // and more")
        return data

    monkeypatch.setattr(os, "read", read)
    _round(intake)
    assert (_prompts(spool), left_over(spool)) == ([], ["a.json"])
    _round(intake)
    assert (_prompts(spool), left_over(spool)) == (["the second"], [])


def test_a_file_whose_mode_changes_while_it_is_read_is_the_same_file(
    spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cp -p` and rsync set the mode last; a file that was not taken must not be removed for it."""
    path = moved_in(spool, "a.json")
    monkeypatch.setattr(drops, "read", _once_before_reading(lambda: path.chmod(0o640)))
    _round(intake)
    assert (_prompts(spool), left_over(spool)) == (["a red circle"], [])


def test_two_files_of_one_name_one_after_the_other_are_two_jobs(
    spool: Spool, intake: Intake
) -> None:
    for text in (JOB, SECOND):
        moved_in(spool, "a.json", text)
        _round(intake)
    assert drop_names(spool) == ["a.json", "a.json"]
    assert sorted(_prompts(spool)) == ["a red circle", "the second"]


def test_two_refused_files_of_one_name_are_both_kept(spool: Spool, intake: Intake) -> None:
    for text in ("no", "nor this"):
        moved_in(spool, "a.json", text)
        _round(intake)
    first, second = rejected(spool)
    assert (first, second[:7]) == ("a.json", "a.json~")
    assert {(spool.rejected / name).read_text() for name in (first, second)} == {"no", "nor this"}


def test_after_a_full_disk_a_file_is_taken_without_a_long_wait(
    spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "REFUSE_SECONDS", 3600.0)
    (spool.incoming / "a.json").write_text(JOB)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "injected")

    with monkeypatch.context() as patch:
        patch.setattr(acceptance, "admit_all", full)
        with pytest.raises(OSError, match="injected"):
            _round(intake)
    _round(intake)
    assert drop_names(spool) == ["a.json"]


def test_a_dead_mount_of_a_stranger_stops_no_other(
    spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a FUSE file system whose process has died."""
    (spool.incoming / "dead").mkdir()
    (spool.incoming / "a.json").write_text(JOB)
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "dead":
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    _round(intake)
    assert drop_names(spool) == ["a.json"]


def test_good_files_of_a_batch_are_accepted_before_bad_ones_are_refused(
    spool: Spool, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="spool")
    for number in range(20):
        (spool.incoming / f"{number:02}.json").write_text(JOB if number == 19 else "no")
    with logged() as log:
        _round(intake)
    refused = next(n for n, line in enumerate(log.lines) if "refused" in line)
    accepted = next(n for n, line in enumerate(log.lines) if "accepted" in line)
    assert accepted < refused
    assert "19.json" in drop_names(spool)
    assert "column 1" in reason(spool, "00.json")


def test_what_a_refusal_keeps_in_memory_is_its_reason_alone(spool: Spool, intake: Intake) -> None:
    """A raised problem holds, by its traceback, all that was read; 256 of them hold too much."""
    path = moved_in(spool, "a.json", "no")
    files = intake._taker._read_all([(path, drops.look(spool, path))])
    [(_, _, problem, _)] = files.refused
    assert problem.__traceback__ is None
    assert problem.__context__ is None

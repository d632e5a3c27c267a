from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.layout import Spool
from spool.live import (
    LiveWriter,
    finish_events,
    last_event,
    read_events,
    resumes_at,
)
from spool.states import Status
from tests.spool.processes import in_children

JOB_ID = "20261123T121728417-7f3a9c"


@pytest.fixture
def events(spool: Spool) -> Path:
    return spool.events(JOB_ID)


def _write(spool: Spool, steps: int, starts: int = 1) -> None:
    with LiveWriter(spool, JOB_ID, starts) as live:
        for step in range(1, steps + 1):
            live.progress(step, steps)


def test_a_step_is_one_line_that_tells_the_progress(spool: Spool, events: Path) -> None:
    _write(spool, 2)
    assert [json.loads(line) for line in events.read_text().splitlines()] == [
        {"status": "processing", "starts": 1, "step": 1, "total_steps": 2},
        {"status": "processing", "starts": 1, "step": 2, "total_steps": 2},
    ]


def test_a_preview_is_there_before_the_line_that_tells_of_it(spool: Spool, events: Path) -> None:
    with LiveWriter(spool, JOB_ID, 1) as live:
        for number in (1, 2):
            live.progress(number, 2, f"jpeg {number}".encode())
            last = last_event(events)
            assert last is not None
            assert last.data["preview"] == number
            assert spool.preview(JOB_ID).read_text() == f"jpeg {number}"
    assert list(spool.tmp.iterdir()) == []


def test_reading_goes_on_behind_each_event_without_a_gap_or_a_repetition(
    spool: Spool, events: Path
) -> None:
    _write(spool, 5)
    everything = read_events(events)
    assert [event.data["step"] for event in everything] == [1, 2, 3, 4, 5]
    for place, event in enumerate(everything):
        assert resumes_at(events, event.end)
        assert read_events(events, event.end) == everything[place + 1 :]


def test_an_id_names_the_start_and_the_offset(spool: Spool, events: Path) -> None:
    _write(spool, 1, starts=2)
    [event] = read_events(events)
    assert event.id == f"2:{events.stat().st_size}"


def test_a_last_line_that_is_cut_is_not_delivered_until_it_is_whole(events: Path) -> None:
    line = b'{"status": "processing", "step": 1}\n'
    for cut in range(len(line)):
        events.write_bytes(line + line[:cut])
        assert len(read_events(events)) == 1
        assert read_events(events, len(line)) == []
        assert last_event(events) == read_events(events)[0]
    events.write_bytes(line * 2)
    assert len(read_events(events, len(line))) == 1


@given(st.lists(st.integers(1, 40), max_size=20))
def test_a_reader_sees_each_line_once_however_the_writes_are_cut(cuts: list[int]) -> None:
    whole = b"".join(
        json.dumps({"status": "processing", "step": step}).encode() + b"\n" for step in range(8)
    )
    seen = []
    offset = 0
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        done = 0
        for cut in [*cuts, len(whole)]:
            file.write(whole[done : done + cut])
            file.flush()
            done += cut
            for event in read_events(path, offset):
                seen.append(event.data["step"])
                offset = event.end
    assert seen == list(range(8))


def test_a_torn_line_is_not_continued_but_passed_over(spool: Spool, events: Path) -> None:
    _write(spool, 1)
    with events.open("ab") as file:
        file.write(b'{"status": "proc')
    before = events.stat().st_size
    _write(spool, 2, starts=2)
    steps = [(event.data["starts"], event.data["step"]) for event in read_events(events)]
    assert steps == [(1, 1), (2, 1), (2, 2)]
    assert events.read_bytes()[before : before + 1] == b"\n"


@pytest.mark.parametrize("line", [b"\n", b"null\n", b"[]\n", b'"x"\n', b"{}\n", b"\xff\n", b"{\n"])
def test_a_line_that_is_not_ours_is_passed_over_and_counted(events: Path, line: bytes) -> None:
    ours = b'{"status": "held"}\n'
    events.write_bytes(ours + line + ours)
    assert [event.end for event in read_events(events)] == [len(ours), len(ours + line + ours)]


def test_a_missing_file_has_no_events(spool: Spool, events: Path) -> None:
    assert read_events(events) == []
    assert last_event(events) is None
    assert not resumes_at(events, 10)
    assert resumes_at(events, 0)


def test_reading_resumes_only_at_the_end_of_a_line(spool: Spool, events: Path) -> None:
    _write(spool, 3)
    ends = {0, *(event.end for event in read_events(events))}
    size = events.stat().st_size
    assert {offset for offset in range(-2, size + 3) if resumes_at(events, offset)} == ends


def test_the_last_event_of_a_long_file_is_found_from_its_tail(spool: Spool, events: Path) -> None:
    _write(spool, 3000)
    assert events.stat().st_size > 2 * 2**16
    last = last_event(events)
    assert last is not None
    assert last.data["step"] == 3000
    assert last.end == events.stat().st_size


def test_the_final_line_is_written_once_and_keeps_the_progress(spool: Spool, events: Path) -> None:
    _write(spool, 3)
    for _ in range(2):
        finish_events(spool, JOB_ID, Status.COMPLETED, 1, images=["a.png"])
    final = [event for event in read_events(events) if event.is_final]
    assert [event.data for event in final] == [
        {"status": "completed", "starts": 1, "step": 3, "total_steps": 3, "images": ["a.png"]}
    ]


def test_the_final_line_of_a_job_that_never_ran_tells_no_progress(
    spool: Spool, events: Path
) -> None:
    finish_events(spool, JOB_ID, Status.CANCELLED, 0, images=[])
    [event] = read_events(events)
    assert event.data == {"status": "cancelled", "starts": 0, "images": []}


def test_exactly_the_events_of_a_final_status_are_final(spool: Spool, events: Path) -> None:
    with LiveWriter(spool, JOB_ID, 1) as live:
        for status in Status:
            live.append(status, {})
    final = {event.data["status"] for event in read_events(events) if event.is_final}
    assert final == {"completed", "failed", "cancelled"}


def test_the_group_may_read_the_progress_whatever_the_umask(spool: Spool, events: Path) -> None:
    before = os.umask(0o077)
    try:
        _write(spool, 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(events.stat().st_mode) == 0o640


def _append(root: str, writer: int) -> list[str]:
    _write(Spool.open(Path(root)), 200, starts=writer)
    return []


def test_lines_of_several_processes_do_not_mix(spool: Spool, events: Path) -> None:
    in_children(_append, [(str(spool.root), writer) for writer in range(4)])
    found = read_events(events)
    # One that opens the file while another's line grows ends that with an empty line of its own.
    assert len(found) == len(list(filter(None, events.read_bytes().splitlines()))) == 800
    for writer in range(4):
        steps = [event.data["step"] for event in found if event.data["starts"] == writer]
        assert steps == list(range(1, 201))

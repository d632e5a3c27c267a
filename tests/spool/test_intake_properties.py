"""Whatever is dropped becomes a job, is refused with a reason, or waits under a dot-name."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spool import patience
from spool.drops import is_candidate
from spool.intake import Intake
from spool.jobs import parse_request
from spool.layout import Spool
from spool.problems import Problem
from spool.rejections import shortened
from spool.strict_json import parse
from tests.spool.dropbox import CATALOGUE, JOB, left_over, logged, queued_tickets, rejected

VALID: dict[str, Any] = {
    "prompt": "a red circle",
    "negative_prompt": "blur",
    "width": 128,
    "height": 256,
    "seed": 7,
    "loras": [{"id": "ink", "weight": 0.5, "trigger_weight": 1}],
    "model": "tiny",
    "steps": 3,
    "guidance_scale": 4.5,
    "sampler": "euler",
    "count": 2,
    "priority": 100,
    "not_before": "2026-11-24T02:00:00+01:00",
    "name": "a name",
}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="genzo-test-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patience, "STILL_SECONDS", 0.0)
        patch.setattr(patience, "REFUSE_SECONDS", 0.0)
        # What each write costs is not what is tested here.
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr("spool.durable.sync_file_system", lambda _: None)
        yield directory
    shutil.rmtree(directory)


@contextmanager
def _fresh(home: Path) -> Iterator[Spool]:
    """An empty spool; `home` holds nothing else before and after."""
    spool = Spool.create(home / "spool")
    yield spool
    assert [path.name for path in home.iterdir()] == ["spool"]
    shutil.rmtree(spool.root)


def _take(spool: Spool) -> list[str]:
    """One pass of intake over all that is there; its complaints."""
    with logged() as log:
        Intake(spool, lambda: CATALOGUE)._round()
    return [line for line in log.lines if ": refused: " not in line]


def _dropped(spool: Spool, name: str, content: bytes) -> None:
    (spool.incoming / name).write_bytes(content)
    assert _take(spool) == []


def _check(spool: Spool, name: str, content: bytes) -> None:
    """A file that may be a job's is one, or is refused; nothing else."""
    tickets = queued_tickets(spool)
    try:
        request = parse_request(parse(content))
        name.encode()
    except (Problem, UnicodeEncodeError):
        assert tickets == []
    else:
        assert [ticket.request for ticket in tickets] in ([], [request])
    assert left_over(spool) == []
    if tickets:
        assert (tickets[0].drop_name, rejected(spool)) == (name, [])
    else:
        kept = shortened(name, ".problem.json")
        assert rejected(spool) == [kept]
        report = json.loads((spool.rejected / f"{kept}.problem.json").read_bytes())
        assert report["detail"]
        assert 400 <= report["status"] < 500


names = (
    st.binary(min_size=1, max_size=255)
    .map(lambda name: name.replace(b"/", b"_").replace(b"\x00", b"_"))
    .filter(lambda name: name not in {b".", b".."})
)


@settings(max_examples=300, derandomize=True, database=None)
@given(name=names)
@example(name=b"n" * 255)
@example(name=b"\xff" * 255)
@example(name=b".json")
@example(name=b"...")
@example(name=b"~")
@example(name=b"a.JSON.json.json")
@example(name=b"problem.json")
@example(name=b"20261123T121728417-7f3a9c.cancel")
@example(name="é".encode() * 127)
def test_any_name_is_a_jobs_or_refused_or_one_of_an_unfinished_transfer(
    home: Path, name: bytes
) -> None:
    text = os.fsdecode(name)
    with _fresh(home) as spool:
        _dropped(spool, text, JOB.encode())
        if is_candidate(text):
            valid = b"cancel" not in name
            _check(spool, text, JOB.encode() if valid else b"")
        else:
            assert left_over(spool) == [text]
            assert queued_tickets(spool) == []
            assert list(spool.rejected.iterdir()) == []


@settings(max_examples=300, derandomize=True, database=None)
@given(content=st.binary(max_size=300))
@example(content=b"")
@example(content=b"\x00" * 4096)
@example(content=b"{" * 5000)
@example(content=b'"' * 5000)
@example(content=b"/*" * 5000)
@example(content=b'{"prompt": "' + b"\\" * 4999)
def test_any_content_is_a_job_or_refused(home: Path, content: bytes) -> None:
    with _fresh(home) as spool:
        _dropped(spool, "a.json", content)
        _check(spool, "a.json", content)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**53 - 1, 2**53, 2**63, -1, 10**400, 1e308, float("inf"), float("nan")])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["tiny", "euler", "ink", "../../etc/x", "\ud800", "\x00", "\u202e", "1", ""])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A valid job with some of it dropped, doubled, replaced or added, as text."""
    fields: list[tuple[str, Any]] = list(VALID.items())
    for _ in range(draw(st.integers(0, 4))):
        index = draw(st.integers(0, max(0, len(fields) - 1)))
        how = draw(st.sampled_from(["drop", "double", "replace", "add", "rename"]))
        if how == "add" or not fields:
            fields.append((draw(st.text(max_size=8)), draw(values)))
        elif how == "drop":
            del fields[index]
        elif how == "double":
            fields.append(fields[index])
        elif how == "replace":
            fields[index] = (fields[index][0], draw(values))
        else:
            fields[index] = (draw(st.sampled_from(list(VALID))), fields[index][1])
    pairs = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in fields)
    return ("{" + ", ".join(pairs) + "}").encode()


@settings(max_examples=500, derandomize=True, database=None)
@given(content=documents())
@example(content=json.dumps(VALID).encode())
def test_any_document_near_a_job_is_one_or_refused(home: Path, content: bytes) -> None:
    with _fresh(home) as spool:
        _dropped(spool, "a.json", content)
        _check(spool, "a.json", content)


@settings(max_examples=60, derandomize=True, database=None)
@given(parts=st.lists(names, min_size=1, max_size=11))
def test_any_path_below_the_drop_box_keeps_within_the_spool(home: Path, parts: list[bytes]) -> None:
    with _fresh(home) as spool:
        path = spool.incoming.joinpath(*map(os.fsdecode, parts))
        with contextlib.suppress(OSError):  # a path may be too long to be made
            path.parent.mkdir(parents=True)
            path.write_text(JOB)
        _take(spool)
        _take(spool)
        assert len(queued_tickets(spool)) + len(rejected(spool)) + len(left_over(spool)) <= 1


@settings(max_examples=30, derandomize=True, database=None)
@given(content=documents(), name=names)
def test_what_was_taken_is_known_when_it_is_sent_again(
    home: Path, content: bytes, name: bytes
) -> None:
    text = os.fsdecode(name)
    with _fresh(home) as spool:
        for _ in range(2):
            path = spool.incoming / text
            path.write_bytes(content)
            os.utime(path, (1e9, 1e9))
            _take(spool)
        assert len(queued_tickets(spool)) + len(rejected(spool)) + len(left_over(spool)) == 1

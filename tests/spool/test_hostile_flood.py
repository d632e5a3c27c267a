"""Two hundred hostile files among fifty good ones, before a real genzo-httpd."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from spool.catalogue import publish_report
from spool.layout import Spool
from spool.states import scan
from spool.strict_json import MAX_BYTES
from tests import services
from tests.services import wait_for
from tests.spool.dropbox import JOB, delivered_reason, drop_names, left_over, moved_in
from tests.spool.samples import report

BAD = 200
GOOD = 50
GROWTH_MIB = 50


def _members(member: str, end: str = "") -> str:
    """As many members as fit into the largest file."""
    text = ",".join(member.format(n) for n in range(MAX_BYTES // (len(member) + 8)))
    return f'{{"prompt": "x", "loras": [{text}]}}' + end


CONTENTS: list[str | bytes] = [
    "[" * MAX_BYTES,
    '{"a":' * (MAX_BYTES // 5),
    '{"prompt": "' + "x" * (MAX_BYTES - 14) + '"}',
    '{"prompt": "' + "\\n" * (MAX_BYTES // 2 - 7) + '"}',
    '{"prompt": "' + "\U0001f600" * (MAX_BYTES // 4 - 4) + '"}',
    '{"prompt": ' + "1" * (MAX_BYTES - 12) + "}",
    "{" + "/**/" * (MAX_BYTES // 4 - 10) + '"prompt": 1}',
    "{" + "//\n" * (MAX_BYTES // 3 - 10) + '"prompt": 1}',
    "/*" * (MAX_BYTES // 2),
    '"' * (MAX_BYTES // 2),
    " " * MAX_BYTES + "x",
    "{" + ",".join(f'"{n:x}":1' for n in range(90_000)) + "}",
    _members("{{}}"),
    _members('{{"id":{}}}'),
    _members('"{}"'),
    _members("[]"),
    _members("{{}}", end=" x"),
    "x" * (MAX_BYTES + 1),
    b"\xff" * MAX_BYTES,
    bytes(range(256)) * (MAX_BYTES // 256),
]


def _write(content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda path: path.write_bytes(data)


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


KINDS: list[Callable[[Path], object]] = [
    *map(_write, CONTENTS),
    _sparse,
    os.mkfifo,
    lambda path: path.symlink_to("/etc/passwd"),
    lambda path: path.symlink_to(path.name),
    lambda path: path.write_text('{"prompt": "x", "model": "../../etc/passwd"}'),
]


@dataclass
class Flood:
    """What the server did with it."""

    spool: Spool
    bad: list[str]
    grown_mib: float
    log: str


def _mebibytes(process: subprocess.Popen[bytes], what: str) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


@contextmanager
def _serving(spool: Spool, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = services.start("httpd", spool, "--port", "0", log=log)
    try:
        wait_for(lambda: "listening" in log.read_text(), seconds=30, what="genzo-httpd")
        yield process
    finally:
        services.stop(process)


@pytest.fixture(scope="module")
def flood(tmp_path_factory: pytest.TempPathFactory) -> Flood:
    home = tmp_path_factory.mktemp("flood")
    spool = Spool.create(home / "spool")
    publish_report(spool, report())
    with _serving(spool, home / "log") as process:
        moved_in(spool, "warm.json")
        moved_in(spool, "warm-bad.json", "no")
        wait_for(lambda: drop_names(spool) and not left_over(spool), what="the first job")
        before = _mebibytes(process, "VmRSS")
        bad = _drop_all(spool)
        wait_for(lambda: len(scan(spool.queued)) == GOOD + 1, seconds=60, what="the good jobs")
        wait_for(lambda: not left_over(spool), seconds=60, what="the last refusal")
        grown = _mebibytes(process, "VmHWM") - before
    return Flood(spool, bad, grown, (home / "log").read_text())


def _drop_all(spool: Spool) -> list[str]:
    """Each file appears whole, by rename, the good ones among the bad; the names of those."""
    aside = spool.root.parent / "aside"
    aside.mkdir()
    bad = [f"{number:03}.json" for number in range(BAD)]
    good = [f"{number * BAD // GOOD:03}-good.json" for number in range(GOOD)]
    for number, name in enumerate(bad):
        KINDS[number % len(KINDS)](aside / name)
    for name in good:
        (aside / name).write_text(JOB)
    for name in sorted(bad + good):
        (aside / name).rename(spool.incoming / name)
    return bad


def test_all_good_files_are_accepted_and_no_other(flood: Flood) -> None:
    names = drop_names(flood.spool)
    assert len(names) == GOOD + 1
    assert all(name == "warm.json" or name.endswith("-good.json") for name in names)


def test_every_bad_file_has_its_reason_here_and_where_it_is_fetched(flood: Flood) -> None:
    for name in flood.bad:
        assert (flood.spool.rejected / f"{name}.problem.json").stat().st_size < 20_000
        assert delivered_reason(flood.spool, name)


def test_the_server_does_not_grow(flood: Flood) -> None:
    assert flood.grown_mib < GROWTH_MIB


def test_nothing_is_left_half_done(flood: Flood) -> None:
    assert list(flood.spool.pending.iterdir()) == []
    assert list(flood.spool.tmp.iterdir()) == []
    assert "Traceback" not in flood.log
    assert flood.log.count(": refused: ") == BAD + 1
    assert max(map(len, flood.log.splitlines())) < 20_000

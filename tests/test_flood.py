"""Strangers' files by the hundred, a few good ones among them, and a real daemon."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

from spool.gallery import newest_first
from spool.layout import Spool
from spool.strict_json import MAX_BYTES
from tests.services import running_daemon, wait_for

_SMALL = {"width": 64, "height": 64, "steps": 2}
_GROWTH_BYTES = 50 << 20


def _write(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # A socket's address is short; its name is not.
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


_MANY_FIELDS = b"{" + b",".join(b'"k%d": 1' % n for n in range(50_000)) + b"}"
_HOSTILE: tuple[Callable[[Path], None], ...] = (
    _write(b"hello"),
    _write(b"[]"),
    _write(b'{"prompt": "x", "prompt": "y"}'),
    _write(b'{"prompt": "x", "steps": NaN}'),
    _write(b'{"prompt": "x", "width": 100}'),
    _write(b'{"prompt": "x", "colour": 1}'),
    _write(b'{"prompt": "\\ud800"}'),
    _write(b"\xff\xfe\x00\x00"),
    _write(b'{"prompt": ' + b"[" * 100_000),
    _write(b'{"prompt": "' + b"x" * (MAX_BYTES - 20) + b'"}'),
    _write(b'{"prompt": "' + b"x" * MAX_BYTES + b'"}'),
    _write(_MANY_FIELDS),
    _write(b'{"prompt": "x", "loras": [' + _MANY_FIELDS + b"]}"),
    _write(b'{"prompt": "x", "seed": ' + b"9" * 4301 + b"}"),
    _write(b'{"prompt": "x", "model": "../../etc/passwd"}'),
    _sparse,
    os.mkfifo,
    _socket,
    lambda path: path.symlink_to("/etc/passwd"),
    lambda path: path.symlink_to(path),
    lambda path: path.symlink_to("/"),
)


def test_two_hundred_hostile_files_stop_none_of_fifty_good_ones(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    with running_daemon(spool) as process:
        _drop(spool, tmp_path, "warm", range(3))
        wait_for(lambda: len(list(newest_first(spool))) == 3, what="the daemon to have rendered")
        before = _resident_bytes(process.pid)
        for number in range(200):
            path = tmp_path / f"bad-{number:03d}.json"
            _HOSTILE[number % len(_HOSTILE)](path)
            path.rename(spool.incoming / path.name)
            if number % 4 == 0:
                _drop(spool, tmp_path, "good", [number // 4])
        wait_for(lambda: len(list(newest_first(spool))) == 53, seconds=120, what="fifty pictures")
        wait_for(lambda: len(_reasons(spool)) == 200, seconds=120, what="two hundred reasons")
        growth = _resident_bytes(process.pid) - before
        assert process.poll() is None
    assert growth < _GROWTH_BYTES, f"the daemon grew by {growth >> 20} MiB"
    assert list(spool.incoming.iterdir()) == []
    for reason in _reasons(spool):
        assert reason["detail"]
        assert (spool.outgoing / Path(reason["file"]).stem / "problem.json").exists()


def _drop(spool: Spool, home: Path, name: str, numbers: range | list[int]) -> None:
    for number in numbers:
        job = {"prompt": "a red circle", "seed": number, **_SMALL}
        path = home / f"{name}-{number:03d}.json"
        path.write_text(json.dumps(job))
        path.rename(spool.incoming / path.name)


def _reasons(spool: Spool) -> list[dict[str, str]]:
    return [json.loads(path.read_bytes()) for path in spool.rejected.glob("*.problem.json")]


def _resident_bytes(pid: int) -> int:
    """The memory of a process, at its most so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10

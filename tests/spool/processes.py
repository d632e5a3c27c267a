"""Other processes and other users."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spool.cli import main as command_line
from spool.cli import places, show, submit

NOBODY = 65534
ROOT = Path(__file__).parents[2]
PRELOADED = (command_line, places, show, submit)
"""A child that gave up being root may not reach Python's own files any more."""

_FORK = multiprocessing.get_context("fork")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as several users")


def genzo(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m spool` with `arguments` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "spool", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        **{"cwd": ROOT, **options},
    )


def genzo_as(
    user: int, *arguments: object, groups: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run genzo with `arguments` as another user, in a fork of this process."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with child(_run_as, user, groups, arguments, out.fileno(), err.fileno()) as process:
            process.join(30)
            status = process.exitcode
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess([], status, out.read(), err.read())


def _run_as(
    user: int, groups: tuple[int, ...], arguments: tuple[object, ...], out: int, err: int
) -> None:
    become(user, *groups)
    with open(out, "w", closefd=False) as stdout, open(err, "w", closefd=False) as stderr:
        sys.argv = ["genzo", *map(str, arguments)]
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            command_line.main()


def become(user: int, *groups: int) -> None:
    """Give up being root, in a child, for a user who is a member of `groups` too."""
    os.setgroups(groups)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


@contextmanager
def child(action: Callable[..., object], *arguments: object) -> Iterator[Any]:
    """A forked process that does `action`; killed at the end if it still runs."""
    process = _FORK.Process(target=action, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def in_children(
    action: Callable[..., list[str]], each: list[tuple[object, ...]]
) -> list[list[str]]:
    """Do `action` with each of the argument tuples at once, in a process each; their results."""
    with _FORK.Pool(len(each)) as pool:
        return pool.starmap(action, each, chunksize=1)

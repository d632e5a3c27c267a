"""Processes that die, or are stopped, before each of their effects on the disk in turn."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Scene = TypeVar("Scene")

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EFFECTS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime"}


def killed_at_each_effect(
    prepare: Callable[[], Scene], action: Callable[[Scene], object]
) -> Iterator[Scene]:
    """Scenes in which a process that did `action` was killed before its 1st, 2nd, … effect.

    The last one, which is not killed, is not among them.
    """
    for effects in itertools.count():
        scene = prepare()
        if not killed_after(effects, functools.partial(action, scene)):
            assert effects > 0, "the action has no effect on the disk"
            return
        yield scene


def killed_after(effects: int, action: Callable[[], object]) -> bool:
    """Do `action` in a child that is killed once it had `effects` effects on the disk.

    False if it ended before that. An exception of the child's is an error of the test's.
    """
    child = os.fork()
    if child == 0:
        _act_and_die(effects, action)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed; see its traceback on stderr"
    return False


def stopped_at_each_effect(
    action: Callable[[list[str]], object],
) -> Generator[list[str], None, None]:
    """Stop a child that does `action` before each of its effects and syncs, and at its end.

    Yields what the action has appended to its list by then, and lets it go on after that. To be
    closed, if it is left before its end: the child dies then. An exception of the child's is an
    error of the test's.
    """
    ours, theirs = multiprocessing.Pipe()
    child = os.fork()
    if child == 0:
        ours.close()
        _act_and_stop(theirs, action)
    theirs.close()
    try:
        while (said := ours.recv()) is not None:
            yield said
            ours.send(None)
    except EOFError:
        raise AssertionError("the child failed; see its traceback on stderr") from None
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        ours.close()


def _act_and_stop(parent: Connection[Any, Any], action: Callable[[list[str]], object]) -> None:
    said: list[str] = []
    fsync = os.fsync

    def stop() -> None:
        parent.send(said)
        parent.recv()

    def stopped_fsync(descriptor: int) -> None:
        stop()
        fsync(descriptor)

    def act() -> None:
        os.fsync = stopped_fsync  # type: ignore[assignment]
        _call_before_each_effect(stop)
        action(said)
        stop()
        parent.send(None)

    _act_and_exit(act)


def _act_and_die(effects: int, action: Callable[[], object]) -> None:
    remaining = effects

    def count() -> None:
        nonlocal remaining
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        remaining -= 1

    def act() -> None:
        _call_before_each_effect(count)
        action()

    _act_and_exit(act)


def _call_before_each_effect(call: Callable[[], None]) -> None:
    """For the rest of this process's life, since an audit hook cannot be removed."""
    write = os.write

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EFFECTS or (event == "open" and arguments[2] & _WRITING):
            call()

    def reported_write(descriptor: int, data: bytes | memoryview) -> int:
        call()
        return write(descriptor, data)

    os.write = reported_write  # type: ignore[assignment]
    sys.addaudithook(audit)


def _act_and_exit(action: Callable[[], object]) -> None:
    status = 1
    try:
        action()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)

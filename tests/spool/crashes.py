"""Processes that die in the middle: killed before each of their effects on the disk in turn."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
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


def _act_and_die(effects: int, action: Callable[[], object]) -> None:
    remaining = effects
    write = os.write

    def count() -> None:
        nonlocal remaining
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        remaining -= 1

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EFFECTS or (event == "open" and arguments[2] & _WRITING):
            count()

    def counted_write(descriptor: int, data: bytes | memoryview) -> int:
        count()
        return write(descriptor, data)

    status = 1
    try:
        os.write = counted_write  # type: ignore[assignment]
        sys.addaudithook(audit)
        action()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)

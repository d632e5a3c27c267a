"""A bar with the time left for each stage, and a line a minute where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

Done = Callable[..., None]
"""Called with how many are done and, where there is one, the loss."""
LINE_SECONDS = 60.0


class Progress:
    """How far the stages are, on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Done]:
        """A stage of `total` steps."""
        if not sys.stderr.isatty():
            yield self._lines(name, total)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Bars(*columns, TimeRemainingColumn(), console=self._console) as bars:
            bar = bars.add_task(name, total=total)
            smooth: list[float] = []

            def done(step: int, loss: float | None = None) -> None:
                if loss is not None:
                    smooth[:] = [*smooth[-99:], loss]
                shown = f" {sum(smooth) / len(smooth):.4f}" if smooth else ""
                bars.update(bar, completed=step, description=f"{name}{shown}")

            yield done

    def _lines(self, name: str, total: int) -> Done:
        started = told = time.monotonic()
        first: list[int] = []
        smooth: list[float] = []

        def done(step: int, loss: float | None = None) -> None:
            nonlocal told
            first[:] = first or [step - 1]
            if loss is not None:
                smooth[:] = [*smooth[-99:], loss]
            now = time.monotonic()
            if now - told < LINE_SECONDS and step < total:
                return
            told = now
            left = (now - started) / (step - first[0]) * (total - step)
            shown = f", loss {sum(smooth) / len(smooth):.4f}" if smooth else ""
            self._console.print(f"{name} {step}/{total}{shown}, {left / 60:.0f} min left")

        return done

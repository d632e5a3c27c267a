"""`genzo watch`: a progress bar per job, with steps and the time left, to the last one's end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spool.gallery import PictureName
from spool.layout import Spool
from spool.states import Status
from spool.views import JobView, job_view

_LOOK_SECONDS = 0.1
_UNKNOWN_SECONDS = 3.0
"""How long an unknown id may still be on its way through the drop box."""


def watch(spool: Spool, job_ids: list[str], check: Callable[[], None] | None = None) -> int:
    """Follow the jobs; 0 once all are completed, 1 if one failed, was cancelled or is unknown.

    Prints the path of each picture on standard output at the end. `check` is called at each look
    and may raise.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        console=console,
    ) as progress:
        bars = {job_id: progress.add_task(job_id, total=None, start=False) for job_id in job_ids}
        ends: dict[str, Status | None] = {}
        deadline = time.monotonic() + _UNKNOWN_SECONDS
        while len(ends) < len(bars):
            if check is not None:
                check()
            for job_id in bars.keys() - ends.keys():
                view = job_view(spool, job_id)
                if view is None and time.monotonic() < deadline:
                    continue
                if view is None or _update(progress, bars[job_id], view):
                    ends[job_id] = view.status if view else None
            time.sleep(_LOOK_SECONDS)
    for job_id in job_ids:
        _print_end(spool, job_id)
    return int(any(status is not Status.COMPLETED for status in ends.values()))


def _update(progress: Progress, bar: TaskID, view: JobView) -> bool:
    """Bring the bar up to date; True at the job's end."""
    place = f" (place {view.queue_position})" if view.queue_position else ""
    text = f"{view.job_id}  {view.status}{place}"
    if view.status is Status.PROCESSING:
        progress.start_task(bar)
    progress.update(bar, description=text, completed=view.step, total=view.total_steps)
    return view.status.is_final or view.status is Status.HELD


def _print_end(spool: Spool, job_id: str) -> None:
    view = job_view(spool, job_id)
    if view is None:
        print(f"genzo: no job {job_id} in {spool.root}", file=sys.stderr)
        return
    for image in view.images:
        name = PictureName.parse(image["filename"])
        if name is not None:
            print(name.picture(spool))
    if view.error is not None:
        print(f"genzo: {job_id} {view.status}: {view.error['detail']}", file=sys.stderr)

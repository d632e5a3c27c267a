"""Jobs a second through the whole of genzo, against the bare loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from spool.layout import Spool
from spool.states import job_ids_with_tickets
from tests.bench.jobs import prompt
from tests.services import running_daemon

_WEIGHTS = Path(__file__).parents[2] / "daemon" / "embedded" / "model"
_WARM_UP_JOBS = 2


def ratios(home: Path, *, steps: int, size_px: int, jobs: int, pairs: int) -> list[float]:
    """Throughput of genzo over that of the bare loop, once for each of `pairs` turns.

    A turn of genzo lasts from the first rename into incoming/ to the last record, previews on;
    the turns of both alternate, and who is not in turn is idle.
    """
    spool = Spool.create(home / f"spool-{size_px}")
    seeds = count(1, jobs)
    found = []
    with running_daemon(spool), _bare_loop(home) as bare:
        bare(steps, size_px, _WARM_UP_JOBS, 0)
        _through_genzo(spool, home, steps, size_px, range(_WARM_UP_JOBS))
        for turn in range(pairs):
            first = next(seeds)
            order = (True, False) if turn % 2 else (False, True)
            seconds = {
                through_genzo: _through_genzo(
                    spool, home, steps, size_px, range(first, first + jobs)
                )
                if through_genzo
                else bare(steps, size_px, jobs, first)
                for through_genzo in order
            }
            found.append(seconds[False] / seconds[True])
    return found


def _through_genzo(spool: Spool, home: Path, steps: int, size_px: int, seeds: range) -> float:
    texts = [
        {"prompt": prompt(seed), "seed": seed, "steps": steps, "width": size_px, "height": size_px}
        for seed in seeds
    ]
    drops = []
    for seed, text in zip(seeds, texts, strict=True):
        drops.append(home / f"{seed}.json")
        drops[-1].write_text(json.dumps(text))
    started = time.perf_counter()
    for drop in drops:
        drop.rename(spool.incoming / drop.name)
    # A look must cost next to nothing: whoever looks takes a core from what is measured.
    while os.listdir(spool.incoming) or job_ids_with_tickets(spool):
        time.sleep(0.005)
    seconds = time.perf_counter() - started
    ended = {path.parent.parent.name for path in spool.outgoing.glob("*/*/result.json")}
    assert {str(seed) for seed in seeds} <= ended
    return seconds


@contextmanager
def _bare_loop(home: Path) -> Iterator[BareLoop]:
    command = [sys.executable, "-m", "tests.bench.bare", str(_WEIGHTS), str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield BareLoop(process)
        assert process.stdin is not None
        process.stdin.close()


class BareLoop:
    """The process of `tests.bench.bare`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, steps: int, size_px: int, jobs: int, first_seed: int) -> float:
        """Render `jobs` pictures; the seconds it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(steps, size_px, jobs, first_seed, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

"""`python -m tests.bench`: print every figure beside the bound it is held to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.acceptance import acceptance
from tests.bench.crowd import CROWDS, crowd
from tests.bench.formats import costs
from tests.bench.gallery import gallery_figures
from tests.bench.latency import claim_latencies_ms, stream_latencies_ms
from tests.bench.memory import resident_bytes
from tests.bench.page import scroll
from tests.bench.recovery import recovery_line
from tests.bench.statistics import median_interval, quantile
from tests.bench.streams import EVENTS_A_SECOND, faults_of_kills, idle_bytes, load
from tests.bench.throughput import ratios

_LOADS = (("4 steps, 64 px", 4, 64, 32, 0.90), ("20 steps, 256 px", 20, 256, 6, 0.97))
_PAIRS = 7
_FILES = 10_000
_CONNECTIONS = 10_000
_JOBS, _SETTLED = 200, 50
_PICTURES = 50_000
_SCROLLED = 100_000
_LISTENERS, _IDLE, _SURVIVORS = 2000, 5000, 500


def main() -> None:
    """Take all figures; some fourteen minutes on two cores."""
    with tempfile.TemporaryDirectory(prefix="genzo-bench-") as home:
        for name, steps, size_px, jobs, bound in _LOADS:
            low, middle, high = median_interval(
                ratios(Path(home), steps=steps, size_px=size_px, jobs=jobs, pairs=_PAIRS)
            )
            print(
                f"throughput against a bare diffusers loop, {name}: "
                f"{middle:.3f} ({low:.3f} to {high:.3f}; at least {bound})",
                flush=True,
            )
        for name, latencies, bound in (
            ("rename into incoming/ to claimed", claim_latencies_ms(Path(home)), 50),
            ("sidecar write to SSE byte", stream_latencies_ms(Path(home)), 10),
        ):
            print(
                f"{name}: median {quantile(latencies, 0.5):.2f} ms, "
                f"90 % {quantile(latencies, 0.9):.2f} ms of {len(latencies)} (under {bound} ms)",
                flush=True,
            )
        print(recovery_line(Path(home) / "recovery"), flush=True)
        for name, seconds, size in costs():
            print(
                f"{name} against PNG, sixteen pictures of the embedded model: "
                f"{seconds:.2f} of the time, {size:.2f} of the bytes",
                flush=True,
            )
        _print_streams(Path(home))
        resident = resident_bytes(Path(home), _JOBS)
        print(
            f"resident memory after {_JOBS} jobs of three models and four LoRAs, against that "
            f"after {_SETTLED}: {resident[-1] / resident[_SETTLED - 1]:.3f} (within 0.95 to 1.05)",
            flush=True,
        )
        for name, sent in CROWDS.items():
            came = crowd(Path(home) / f"spool {name}", _CONNECTIONS, sent)
            answers = [quantile(came.answers_ms, share) for share in (0.5, 0.99)]
            print(
                f"{_CONNECTIONS} connections {name}: {came.held} held, "
                f"{came.grown_bytes / 2**20:.0f} MB more; others meanwhile: "
                f"median {answers[0]:.1f} ms, 99 % {answers[1]:.1f} ms of {len(came.answers_ms)}",
                flush=True,
            )
        many = acceptance(Path(home), _FILES)
        answers = [quantile(many.answers_ms, share) for share in (0.5, 0.9)]
        print(
            f"{many.files} files renamed into incoming/ at once: all accepted in "
            f"{many.seconds:.1f} s (under 60 s); HTTP meanwhile: median {answers[0]:.1f} ms, "
            f"90 % {answers[1]:.1f} ms of {len(many.answers_ms)} (under 100 ms)",
            flush=True,
        )
        for line in gallery_figures(Path(home), _PICTURES):
            print(line, flush=True)
        seen = scroll(Path(home), _SCROLLED)
        print(
            f"the page, scrolled through {_SCROLLED} pictures: a frame each "
            f"{quantile(seen.frames_ms, 0.5):.0f} ms, 99 % {quantile(seen.frames_ms, 0.99):.0f} "
            f"ms; at most {seen.nodes} elements, {seen.heap_bytes / 1e6:.0f} MB of its heap",
            flush=True,
        )


def _print_streams(home: Path) -> None:
    seen = load(home, _LISTENERS)
    print(
        f"{seen.clients} listeners of one job at {EVENTS_A_SECOND} events a second, server on one "
        f"core: median {quantile(seen.delays_ms, 0.5):.0f} ms, 99 % "
        f"{quantile(seen.delays_ms, 0.99):.0f} ms (under 400 ms), {seen.lost} events lost (0), "
        f"{seen.resident_bytes / 1e6:.0f} MB (under 120 MB), {seen.processor_share:.0%} of it",
        flush=True,
    )
    resident, seconds = idle_bytes(home, _IDLE)
    print(
        f"{_IDLE} listeners that hear nothing: {resident / 1e6:.0f} MB (under 200 MB); SIGTERM "
        f"ends them all in {seconds:.2f} s (under 1 s)",
        flush=True,
    )
    faults, clients = faults_of_kills(home, _SURVIVORS, kills=3)
    print(
        f"{clients} listeners, their server killed and started three times, the last time while "
        f"the job ends: {faults} missed anything or were told anything twice (0)",
        flush=True,
    )


if __name__ == "__main__":
    main()

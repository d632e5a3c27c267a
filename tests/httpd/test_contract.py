"""schemathesis, a program that nobody here wrote, reads the specification and tries the server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spool.states import scan
from tests.httpd.conftest import serving
from tests.httpd.stand_in import StandIn

ROOT = Path(__file__).parents[2]
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "10")
"""Examples an operation; `make contract` takes 300."""


@contextmanager
def rendering(daemon: StandIn) -> Iterator[None]:
    """Jobs are rendered as they come, so that every stream of one ends."""
    ended = threading.Event()

    def render() -> None:
        while not ended.wait(0.02):
            for name in scan(daemon.spool.queued):
                # Cancelled before it was claimed.
                with contextlib.suppress(StopIteration, AssertionError):
                    daemon.render(name.job_id)

    thread = threading.Thread(target=render)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_the_server_keeps_to_its_specification(tmp_path: Path) -> None:
    with serving(tmp_path / "spool") as served, rendering(StandIn(served.spool)):
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                *("--config-file", str(ROOT / "schemathesis.toml")),
                *("run", f"{served.client.base_url}/openapi.json"),
                *("--checks", "all", "--max-examples", EXAMPLES, "--no-color"),
                # DELETE cancels a job, and a cancelled job can still be asked for.
                *("--exclude-checks", "use_after_free"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:]

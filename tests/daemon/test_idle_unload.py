from __future__ import annotations

from pathlib import Path

from spool.catalogue import ModelState, read_reports
from spool.layout import Spool
from spool.states import Status
from tests.daemon.slots import record_of, submit
from tests.services import running_daemon, wait_for


def test_an_idle_slot_gives_its_memory_back_and_renders_the_next_job_all_the_same(
    tmp_path: Path,
) -> None:
    spool = Spool.create(tmp_path / "spool")
    config = tmp_path / "genzo.toml"
    config.write_text('[daemon]\nidle_unload = "1s"\n')

    def state() -> ModelState | None:
        return read_reports(spool)[0].models[0].state

    with running_daemon(spool, "--config", str(config)):
        wait_for(lambda: state() is ModelState.COLD, seconds=60, what="the model to be unloaded")
        assert record_of(spool, submit(spool)).status is Status.COMPLETED

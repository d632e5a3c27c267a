from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from spool import settings
from spool.acceptance import Sender, admit, draw_ticket
from spool.catalogue import Catalogue
from spool.control import Verb, command
from spool.ids import Clock
from spool.jobs import JobRequest
from spool.layout import Spool
from tests.spool.processes import NOBODY, as_root, genzo


@as_root
def test_root_acts_as_the_owner_of_the_spool(public_directory: Path) -> None:
    spool = Spool.create(public_directory / "spool")
    for path in [spool.root, *spool.root.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    ended = genzo("submit", "--spool", spool.root, "x")
    assert ended.returncode == 0, ended.stderr
    job_id = ended.stdout.strip()
    (ticket,) = spool.queued.iterdir()
    assert {ticket.stat().st_uid, spool.events(job_id).stat().st_uid} == {NOBODY}
    assert genzo("cancel", "--spool", spool.root, job_id).returncode == 0
    assert spool.record(job_id).stat().st_uid == NOBODY


def test_watch_waits_for_a_job_that_is_still_on_its_way(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    job_id = Clock().draw()

    def arrive() -> None:
        sender = Sender("drop", 0, job_id=job_id)
        ticket = draw_ticket(spool, JobRequest(prompt="x"), Catalogue(), sender)
        admit(spool, ticket)
        command(spool, Verb.CANCEL, ticket.job_id)

    timer = threading.Timer(1.0, arrive)
    timer.start()
    ended = genzo("watch", "--spool", spool.root, job_id)
    timer.join()
    assert "cancelled" in ended.stderr
    assert "no job" not in ended.stderr


def test_a_tilde_in_the_configuration_is_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "genzo.toml"
    config.write_text('spool = "~/spool"')
    assert settings.load(config, {}).spool_directory == tmp_path / "spool"

"""The manual's way to a later version, with one job in the middle and others waiting."""

from __future__ import annotations

import json

from tests.systemd.jobs import LONG, QUICK, submit, wait_for_step, wait_until
from tests.systemd.machine import Machine
from tests.systemd.manual import offline
from tests.systemd.wheels import next_version

_DAEMON, _SPOOL = "genzod@0.service", "/data/genzo"


def upgrade(machine: Machine, text: str) -> None:
    """The commands; nothing of what was under way is lost or done twice."""
    job_ids = [submit(machine, job) for job in ({**LONG, "steps": 150}, QUICK, QUICK, QUICK)]
    wait_for_step(machine, job_ids[0], 3)
    old = machine.property(_DAEMON, "MainPID")
    pip, install = text.strip().splitlines()
    # However long pip takes, the job is still in the middle when the services are restarted.
    machine.run("systemctl", "kill", "--kill-who=main", "--signal=STOP", _DAEMON)
    try:
        said = machine.sh(offline(pip, "next"), seconds=600)
    finally:
        machine.run("systemctl", "kill", "--kill-who=main", "--signal=CONT", _DAEMON)
    said += machine.sh(install, seconds=600)
    assert "Successfully installed genzo-" + next_version() in said
    assert "It works: " in said
    assert machine.property(_DAEMON, "MainPID") != old
    for job_id in job_ids:
        assert wait_until(machine, job_id, "completed")["starts"] == 1
        names = machine.sh(f"find {_SPOOL}/gallery -name '{job_id}*.png' -printf '%f\\n'")
        assert names == f"{job_id}-0.png"
        record = json.loads(machine.sh(f"cat {_SPOOL}/done/*/*/{job_id}.json"))
        assert record["render"]["genzo"] == next_version()
    log = machine.sh(f"journalctl -u {_DAEMON} GENZO_JOB={job_ids[0]} --no-pager")
    assert "put back into the queue" in log

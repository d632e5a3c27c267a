"""Jobs on the machine, sent and watched with the commands that people use."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tests.services import wait_for
from tests.systemd.machine import POLL_SECONDS, Machine

SPOOL = "/var/spool/genzo"
QUICK = {"prompt": "a red circle on a white background", "steps": 2, "width": 64, "height": 64}
LONG = {**QUICK, "steps": 60, "width": 256, "height": 256, "sampler": "euler"}
ENDLESS = {**LONG, "steps": 150, "count": 50}


def drop(machine: Machine, name: str, job: dict[str, Any], user: str = "root") -> None:
    """Drop a job as a shell user would: written aside, then moved in."""
    text = shlex.quote(json.dumps(job))
    machine.sh(
        f"echo {text} > /tmp/{name} && chmod 644 /tmp/{name} && "
        f"mv /tmp/{name} {SPOOL}/incoming/{name}",
        user=user,
    )


def submit(machine: Machine, job: dict[str, Any], user: str = "root") -> str:
    """Submit a job with `genzo submit`; its id."""
    text = shlex.quote(json.dumps(job))
    return machine.sh(f"echo {text} | genzo submit --file -", user=user)


def show(machine: Machine, job_id: str) -> dict[str, Any]:
    """What `genzo show --json` says; empty while a dropped job is on its way."""
    shown = machine.run("genzo", "show", job_id, "--json", check=False)
    return json.loads(shown.stdout) if shown.returncode == 0 else {"status": None, "step": 0}


def wait_until(
    machine: Machine, job_id: str, status: str, seconds: float = 180.0
) -> dict[str, Any]:
    """The job, once it has `status`."""
    wait_for(
        lambda: show(machine, job_id)["status"] == status,
        seconds=seconds,
        what=f"{job_id} to be {status}",
        every_seconds=POLL_SECONDS,
    )
    return show(machine, job_id)


def wait_for_step(machine: Machine, job_id: str, step: int) -> None:
    """Wait until the job is being rendered and has come to `step`."""
    wait_for(
        lambda: show(machine, job_id)["step"] >= step,
        what=f"step {step} of {job_id}",
        every_seconds=POLL_SECONDS,
    )


def pictures(machine: Machine, job_id: str = "") -> list[str]:
    """The names of the pictures in the gallery, or of one job's."""
    pattern = shlex.quote(f"{job_id}*.png")
    return machine.sh(f"find {SPOOL}/gallery -name {pattern} -printf '%f\\n'").splitlines()

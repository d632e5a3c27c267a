"""How soon a daemon killed in the middle of a job is active again, under a real systemd."""

from __future__ import annotations

from pathlib import Path

from tests.bench.statistics import quantile
from tests.systemd.jobs import LONG, submit, wait_for_step, wait_until
from tests.systemd.machine import Machine, installed, why_not

_DAEMON = "genzod@0.service"
_KILLS = 5


def recovery_line(home: Path) -> str:
    """The figure in a sentence, or why it cannot be taken here."""
    reason = why_not()
    if reason:
        return f"kill -9 of a daemon in mid-job: not measured: {reason}"
    seconds = recoveries_seconds(home, _KILLS)
    return (
        f"kill -9 of a daemon in mid-job until systemd has it active again: median "
        f"{quantile(seconds, 0.5):.1f} s, at most {max(seconds):.1f} s of {_KILLS} (under 10 s)"
    )


def recoveries_seconds(home: Path, kills: int) -> list[float]:
    """From the death of the daemon to the next one's READY=1, by systemd's clock, each time.

    Ready means that the model is loaded. Each job is completed before the next kill.
    """
    home.mkdir()
    with installed(home) as machine:
        return [_recovery_seconds(machine) for _ in range(kills)]


def _recovery_seconds(machine: Machine) -> float:
    job_id = submit(machine, LONG)
    wait_for_step(machine, job_id, 3)
    machine.sh(f"kill -9 $(systemctl show --value -p MainPID {_DAEMON})")
    wait_until(machine, job_id, "completed")
    died, ready = (
        int(machine.property(_DAEMON, f"Active{what}TimestampMonotonic"))
        for what in ("Exit", "Enter")
    )
    return (ready - died) / 1e6


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="genzo-bench-") as folder:
        print(recovery_line(Path(folder) / "recovery"))

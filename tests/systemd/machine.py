"""A machine with a real systemd, booted in namespaces: a copy of this one that forgets everything.

The copy sees this file system through an overlay whose upper layer is memory, and has a loopback
interface of its own. genzo is installed there as docs/operations.md says, from a wheel.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import wait_for
from tests.systemd import manual
from tests.systemd.wheels import build_wheels

BOOT = Path(__file__).with_name("boot.sh")
_SECONDS = 120.0
POLL_SECONDS = 0.3
"""Each look starts processes, which are taken from what is looked at."""


def why_not() -> str | None:
    """Why no machine can be booted here, or None if one can."""
    if os.geteuid() != 0:
        return "booting a systemd in namespaces needs root"
    missing = [name for name in ("unshare", "nsenter", "ip") if shutil.which(name) is None]
    if not Path("/lib/systemd/systemd").exists():
        missing.append("systemd")
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--net", "--cgroup", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no namespaces: {tried.stderr.strip()}" if tried.returncode else None


class Machine:
    """A booted machine."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def run(
        self, *command: str, check: bool = True, seconds: float = _SECONDS, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root; fails the test unless it succeeds, or `check` is false."""
        inside = ["nsenter", "-t", str(self._pid), "--all", "--root", "--wdns=/"]
        environment = {"PATH": "/opt/genzo/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        ended = subprocess.run(
            [*inside, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=environment,
            input=stdin,
        )
        assert not check or ended.returncode == 0, (command, ended.stdout, ended.stderr)
        return ended

    def sh(
        self, script: str, *, user: str = "root", check: bool = True, seconds: float = _SECONDS
    ) -> str:
        """The output, standard error included, of a shell script that `user` runs."""
        command = ("runuser", "-u", user, "--", "sh", "-c", f"exec 2>&1\n{script}")
        ended = self.run(*command, check=check, seconds=seconds)
        return ended.stdout.strip()

    def property(self, unit: str, name: str) -> str:
        """A property of a unit, as `systemctl show` gives it."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def wait_for(self, script: str, *, seconds: float = _SECONDS) -> None:
        """Wait until a shell script succeeds."""
        wait_for(
            lambda: self.run("sh", "-c", script, check=False).returncode == 0,
            seconds=seconds,
            what=script,
            every_seconds=POLL_SECONDS,
        )


# Neither the index of packages nor the network is there: what genzo needs is in /opt/packages.
_BEFORE = "set -e\nexport PATH=/opt/python/bin:$PATH PYTHONPATH=/opt/packages\n"
# The old setuptools of a new environment would hide the one that torch needs.
_AFTER = """env -u PYTHONPATH /opt/genzo/bin/pip uninstall --quiet --yes setuptools
echo /opt/packages > "$(echo /opt/genzo/lib/python3*/site-packages)/packages.pth"
# pip would have compiled them; the services may not.
/opt/genzo/bin/python -c "from diffusers import StableDiffusionXLPipeline"
"""


@contextmanager
def installed(home: Path) -> Iterator[Machine]:
    """A machine on which the manual's first commands and `genzo install` have just run."""
    with booted(home / "layers", build_wheels(home / "wheels")) as machine:
        commands = manual.block("python3 -m venv").text
        machine.sh(_BEFORE + manual.offline(commands, "present") + _AFTER, seconds=300)
        said = machine.run("genzo", "install", seconds=300)
        assert "It works: " in said.stderr, said.stderr
        yield machine


@contextmanager
def booted(base: Path, wheels: Path) -> Iterator[Machine]:
    """A machine whose layers are mounted in the new folder `base`, with `wheels` in /srv/wheels.

    It has all that genzo needs but genzo itself. It is gone at the end.
    """
    log = base.with_suffix(".log")
    base.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", str(BOOT), str(base), sys.prefix, str(wheels)], stdout=output, stderr=output
        )
    try:
        wait_for(lambda: _child_of(process, log), seconds=30, what="a PID namespace")
        machine = Machine(_child_of(process, log))

        def is_up() -> bool:
            assert process.poll() is None, log.read_text()
            asked = machine.run("systemctl", "is-system-running", check=False)
            return asked.stdout.strip() in {"running", "degraded"}

        wait_for(is_up, seconds=60, what="systemd")
        yield machine
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _child_of(process: subprocess.Popen[bytes], log: Path) -> int:
    assert process.poll() is None, log.read_text()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else 0

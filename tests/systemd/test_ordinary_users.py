"""`genzo install --user`, by someone who is not root, under a service manager of that user's."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from tests.services import wait_for
from tests.systemd.jobs import QUICK
from tests.systemd.machine import POLL_SECONDS, Machine
from tests.systemd.manual import block

PORT = 8001
"""The machine's own installation has the usual one."""


class Person:
    """Someone with a home, and a service manager that outlives the sessions."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine, self.name = machine, name
        self._uid = machine.sh(f"id -u {name}")

    def sh(self, script: str) -> str:
        """What a login shell of theirs prints."""
        return self.machine.sh(
            f"set -e; cd; export XDG_RUNTIME_DIR=/run/user/{self._uid}\n{script}",
            user=self.name,
            seconds=300,
        )


@pytest.fixture(scope="module")
def dora(machine: Machine) -> Iterator[Person]:
    machine.run("useradd", "--create-home", "dora")
    lingering = machine.run("loginctl", "enable-linger", "dora", check=False)
    if lingering.returncode:
        pytest.skip(f"no service manager of a user's own: {lingering.stderr.strip()}")
    dora = Person(machine, "dora")
    machine.wait_for(f"systemctl is-active user@$(id -u {dora.name}).service")
    config = shlex.quote(f'[http]\nport = {PORT}\n[output]\nformat = "webp"\n')
    dora.sh(f"mkdir -p .config/genzo; printf %s {config} > .config/genzo/genzo.toml")
    yield dora
    machine.run("loginctl", "disable-linger", "dora")


def test_a_user_installs_renders_and_uninstalls_and_keeps_the_data(dora: Person) -> None:
    said = dora.sh(block("genzo install --user").text)
    assert "It works: /home/dora/.local/state/genzo/gallery/" in said
    assert "active (running)" in said
    assert "nothing was changed" in dora.sh("genzo install --user")

    spool = "~/.local/state/genzo"
    job = shlex.quote(json.dumps(QUICK))
    dora.sh(f"echo {job} > mine.json; mv mine.json {spool}/incoming/")
    dora.machine.wait_for("ls /home/dora/.local/state/genzo/outgoing/mine/*/result.json")
    assert json.loads(dora.sh(f"curl -sS http://127.0.0.1:{PORT}/healthz")) == {"status": "ok"}
    status = "systemctl --user show -P StatusText genzod@0"
    wait_for(lambda: dora.sh(status) == "idle, 0 waiting", what=status, every_seconds=POLL_SECONDS)
    assert dora.sh(f"stat -c %U {spool}/outgoing/mine/*/*.webp") == "dora"

    said = dora.sh("genzo uninstall --user")
    assert "left as they are" in said
    assert dora.sh("systemctl --user list-unit-files --no-legend 'genzo*' || true") == ""
    assert dora.sh("pgrep -u dora genzo || true") == ""
    assert len(dora.sh(f"ls {spool}/gallery/*/*/*-0.webp").split()) == 2
    assert f"port = {PORT}" in dora.sh("cat .config/genzo/genzo.toml")

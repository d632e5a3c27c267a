"""Every block of docs/operations.md, in its order, on the machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.systemd import proxies, remote, upgrading
from tests.systemd.jobs import QUICK, submit, wait_until
from tests.systemd.machine import Machine
from tests.systemd.manual import BLOCKS, Block
from tests.systemd.wheels import present_version


def _installed(machine: Machine, text: str) -> None:
    """The machine was made by it."""
    assert machine.sh("readlink -f /usr/local/bin/genzo") == "/opt/genzo/bin/genzo"
    shown = machine.sh("/opt/genzo/bin/pip show genzo 2>/dev/null | grep ^Version")
    assert shown == f"Version: {present_version()}"


def _new_model(machine: Machine, text: str) -> None:
    # A diffusers folder under the name of a file: the first model at hand that can render.
    model = "/opt/genzo/lib/python3*/site-packages/daemon/embedded/model"
    machine.sh(f"mkdir -p /srv/models; cp -r {model} /srv/models/illustriousXL.safetensors")
    machine.sh(f"set -e\n{text}")
    wait_until(machine, submit(machine, {**QUICK, "model": "illustriousxl"}), "completed")


def _nothing(machine: Machine, text: str) -> None:
    """Run by another test, which says so."""


HANDLERS: dict[str, Callable[[Machine, str], None]] = {
    "python3 -m venv": _installed,
    "genzo install --user": _nothing,  # test_ordinary_users.py
    "genzo models add": _new_model,
    "rsync -rt --omit-dir-times jobs/ ann@workstation:/": remote.drop_and_fetch,
    'command="rrsync': remote.restrict_key,
    "rsync -rt --omit-dir-times jobs/ ann@workstation:\n": remote.drop_with_restricted_key,
    "ssh -N -L": remote.tunnel,
    "[http]": proxies.configure,
    "server {": proxies.nginx,
    "genzo.example {": proxies.caddy,
    "/opt/genzo/bin/pip install --upgrade": upgrading.upgrade,
}


def _handler(block: Block) -> Callable[[Machine, str], None] | None:
    found = [run for head, run in HANDLERS.items() if block.text.startswith(head)]
    assert len(found) == (0 if block.kind == "sh" else 1), block
    return found[0] if found else None


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.head)
def test_the_commands_of_the_manual_work(machine: Machine, block: Block) -> None:
    run = _handler(block)
    if run is not None:
        run(machine, block.text)
        return
    machine.sh(f"set -e\n{block.text}")
    if "genzo install\n" in block.text:
        wait_until(machine, submit(machine, QUICK), "completed")
    if "genzo uninstall" in block.text:
        left = machine.sh("systemctl list-unit-files --no-legend 'genzo*'", check=False)
        assert left == ""
        machine.sh("ls /data/genzo/spool.json /data/genzo/gallery/*/*/*.png /etc/genzo/genzo.toml")

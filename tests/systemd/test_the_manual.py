"""Every command of docs/operations.md, in its order, on the machine."""

from __future__ import annotations

import re

import pytest

from tests.systemd.jobs import QUICK, submit, wait_until
from tests.systemd.machine import TREE, Machine

BLOCKS = re.findall(
    r"^```sh\n(.*?)^```", (TREE / "docs" / "operations.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_the_commands_of_the_manual_work(machine: Machine, block: str) -> None:
    machine.sh(f"set -e\n{block}")
    if "genzo install\n" in block:
        wait_until(machine, submit(machine, QUICK), "completed")
    if "genzo uninstall" in block:
        left = machine.sh("systemctl list-unit-files --no-legend 'genzo*'", check=False)
        assert left == ""
        machine.sh("ls /data/genzo/spool.json /data/genzo/gallery/*/*/*.png /etc/genzo/genzo.toml")

from __future__ import annotations

import os
from pathlib import Path

from daemon.host_memory import total_bytes


def test_without_limits_it_is_the_memory_of_the_machine(tmp_path: Path) -> None:
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert total_bytes(tmp_path / "missing", tmp_path) == installed
    assert 0 < total_bytes() <= installed


def test_the_least_limit_of_the_groups_around_us_counts(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("1:cpu:/other\n0::/system.slice/genzod.service\n")
    group = tmp_path / "groups" / "system.slice" / "genzod.service"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("1048576\n")
    assert total_bytes(own, tmp_path / "groups") == 1 << 20
    (group / "memory.max").write_text("4096\n")
    assert total_bytes(own, tmp_path / "groups") == 4096

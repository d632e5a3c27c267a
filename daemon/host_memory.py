"""How much memory this process may count on, of the machine or of the control group it is in."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def total_bytes(own_groups: Path = Path("/proc/self/cgroup"), root: Path = _CGROUPS) -> int:
    """The machine's memory, or the least limit of a control group (version 2) around us."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([installed, *_limits(own_groups, root)])


def _limits(own_groups: Path, root: Path) -> list[int]:
    try:
        lines = own_groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    group = root / path
    limits = []
    for place in (group, *group.parents):
        if not place.is_relative_to(root):
            break
        try:
            limits.append(int((place / "memory.max").read_text(encoding="ascii")))
        except (OSError, ValueError):  # not here, or "max"
            continue
    return limits

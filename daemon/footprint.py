"""How much memory this daemon takes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spool.tally import Footprint

_STATM = Path("/proc/self/statm")


def footprint() -> Footprint | None:
    """The memory of this process and of its GPU at the moment; None where /proc is missing."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        return None
    resident_bytes = pages * os.sysconf("SC_PAGE_SIZE")
    return Footprint(resident_bytes, *_gpu_bytes())


def _gpu_bytes() -> tuple[int, int, int] | tuple[()]:
    """What we hold of the GPU's memory, what is free, and all of it; nothing without a GPU."""
    # Not imported for this: reports are written before torch is, which takes seconds.
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return ()
        return (torch.cuda.memory_reserved(), *torch.cuda.mem_get_info())
    except (RuntimeError, AttributeError):  # a lost GPU, of which others tell; a half-made import
        return ()

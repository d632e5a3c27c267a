"""The GPUs of this machine, as nvidia-smi numbers them."""

from __future__ import annotations

import subprocess

_SECONDS = 30.0


def find_gpus() -> dict[str, str]:
    """Number and name of each NVIDIA GPU; empty where there is none, or no driver."""
    command = ["nvidia-smi", "--query-gpu=index,name", "--format=csv,noheader"]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = (line.partition(",") for line in ended.stdout.splitlines())
    return {number.strip(): name.strip() for number, _, name in lines if number.strip().isdecimal()}

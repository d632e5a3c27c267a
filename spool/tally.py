"""What a slot did since its daemon came, and the memory it takes, as slots/<slot>.json tells it."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts that only grow, from `since` (ISO 8601), when the daemon took its slot.

    Jobs are counted when the slot has ended them: not those that were cancelled while they waited,
    nor those that a recovery finishes. `pictures` are those that were published, `steps` those of
    denoising, `rendering_seconds` the time for steps and decoding, of jobs that failed too. A swap
    is a change of the model that renders, its seconds from the one to the other.

    Raises ValueError if a count is no whole number or a time not finite, or either is negative.
    """

    since: str
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    pictures: int = 0
    steps: int = 0
    rendering_seconds: float = 0.0
    model_swaps: int = 0
    model_swap_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.since, str):
            raise ValueError(f"since is {self.since!r}, not a text")
        for name in ("completed", "failed", "cancelled", "pictures", "steps", "model_swaps"):
            _require_count(name, getattr(self, name))
        for name in ("rendering_seconds", "model_swap_seconds"):
            _require_seconds(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class Footprint:
    """The memory of a daemon in bytes; of the GPU None where none is used.

    `gpu_reserved_bytes` is what this process holds of it, free and size are the whole device's.
    Raises ValueError if one is no whole number, or negative.
    """

    resident_bytes: int
    gpu_reserved_bytes: int | None = None
    gpu_free_bytes: int | None = None
    gpu_size_bytes: int | None = None

    def __post_init__(self) -> None:
        _require_count("resident_bytes", self.resident_bytes)
        for name in ("gpu_reserved_bytes", "gpu_free_bytes", "gpu_size_bytes"):
            if getattr(self, name) is not None:
                _require_count(name, getattr(self, name))


def _require_count(name: str, value: object) -> None:
    # True is an int to Python; in a report it is none.
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} is {value!r}, not a whole number of 0 or more")


def _require_seconds(name: str, value: object) -> None:
    is_time = isinstance(value, int | float) and 0 <= value <= sys.float_info.max
    if not is_time or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, not a finite number of 0 or more")

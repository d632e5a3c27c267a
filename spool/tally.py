"""What a slot did since its daemon came, and the memory it takes, as slots/<slot>.json tells it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts that only grow, from `since` (ISO 8601), when the daemon took its slot.

    Jobs are counted when the slot has ended them: not those that were cancelled while they waited,
    nor those that a recovery finishes. `pictures` are those that were published, `steps` those of
    denoising, `rendering_seconds` the time for steps and decoding, of jobs that failed too. A swap
    is a change of the model that renders, its seconds from the one to the other.
    """

    since: str
    completed: Count = 0
    failed: Count = 0
    cancelled: Count = 0
    pictures: Count = 0
    steps: Count = 0
    rendering_seconds: Seconds = 0.0
    model_swaps: Count = 0
    model_swap_seconds: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """The memory of a daemon in bytes; of the GPU None where none is used.

    `gpu_reserved_bytes` is what this process holds of it, free and size are the whole device's.
    """

    resident_bytes: Count
    gpu_reserved_bytes: Count | None = None
    gpu_free_bytes: Count | None = None
    gpu_size_bytes: Count | None = None

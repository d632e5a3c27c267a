"""The one interface that the daemon knows of a model family.

Nothing here imports torch: the daemon publishes its catalogue before those seconds are spent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spool.jobs import JobRequest, ResolvedJob

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the configuration names it: a family, weights, and departures from defaults.

    `weights` is a model folder of the family. What is None here, the folder's `genzo.json`
    decides, and after it the family. `device` is auto, cpu, cuda or cuda:N; `dtype` is float32,
    float16 or bfloat16, None taking float32 on a CPU and float16 on a GPU. Sizes are in pixels.
    """

    name: str
    family: str
    weights: Path
    default: bool = False
    steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    width: int | None = None
    height: int | None = None
    device: str = "auto"
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A denoising step that was just taken: number `step` (from 1) of `total`.

    `total` counts the scheduler's real timesteps of this one picture. `preview` computes a small
    picture of what the scheduler predicts the end to be, only when called, at any later time; it
    is None while there is nothing that can be shown.
    """

    step: int
    total: int
    preview: Callable[[], Image | None]


OnStep = Callable[[Step], None]
"""Called after every step. An exception raised in it stops the picture before the next step,
skips the decode, leaves the model usable, and reaches the caller of `denoise`."""


class Model(Protocol):
    """A loaded model. Used from one thread."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def parameters(self) -> type[JobRequest]:
        """The narrower ranges of this family with this model's own defaults."""
        ...

    def total_steps(self, job: ResolvedJob) -> int:
        """The number of timesteps that the scheduler takes for one picture of the job."""
        ...

    def sampler_label(self, job: ResolvedJob) -> str:
        """The name under which other programs know the job's sampler."""
        ...

    def denoise(self, job: ResolvedJob, seed: int, on_step: OnStep) -> torch.Tensor:
        """Run the job's picture with this seed to latents (1, channels, h, w).

        Raises RenderError when the latents are not finite, and whatever `on_step` raises.
        """
        ...

    def decode(self, latents: torch.Tensor) -> Image:
        """Turn latents of `denoise` into the picture, bit-equal to the pipeline's own.

        Raises RenderError when the picture is not finite even in float32.
        """
        ...

    def describe(self, job: ResolvedJob | None = None) -> dict[str, str]:
        """What made the pixels: dtypes, device, GPU, library versions; with a job its scheduler."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """How models of one architecture are described (without torch) and loaded."""

    parameters_of: Callable[[ModelSpec], type[JobRequest]]
    load: Callable[[ModelSpec], Model]

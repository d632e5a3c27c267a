"""The one interface that the daemon knows of a model family.

Nothing here imports torch: the daemon publishes its catalogue before those seconds are spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from daemon.families.profiles import Experience
from spool.jobs import JobRequest, ResolvedJob
from spool.settings import LoraSettings

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the configuration names it: a family, weights, and departures from defaults.

    `weights` is a file, a model folder, or an id in the hub cache. What is None here, the
    folder's `genzo.json` decides, and after it the family. `device` is auto, cpu, cuda or cuda:N;
    `dtype` and `vae_dtype` are float32, float16 or bfloat16, `vram` is auto, full, balanced or low.
    Sizes are in pixels. The rest is as
    docs/configuration.md says.
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
    loras: Path | None = None
    allow_loras: bool = False
    lora: Mapping[str, LoraSettings] = field(default_factory=dict)
    config: Path | None = None
    text_encoder: Path | None = None
    text_encoder_2: Path | None = None
    vae: Path | None = None
    tokenizer: Path | None = None
    hub_cache: Path | None = None
    allow_download: bool = False
    variant: str | None = None
    shift: float | None = None
    timestep_spacing: str | None = None
    prediction_type: str | None = None
    zero_snr: bool | None = None
    device: str = "auto"
    dtype: str | None = None
    vae_dtype: str | None = None
    vram: str = "auto"


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
    """A loaded model, in the host's memory until `wake`. Used from one thread."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def parameters(self) -> type[JobRequest]:
        """The narrower ranges of this family with this model's own defaults."""
        ...

    def total_steps(self, job: ResolvedJob) -> int:
        """The number of timesteps that the scheduler takes for one picture of the job."""
        ...

    def warnings(self, job: ResolvedJob) -> tuple[str, ...]:
        """What of the job is rendered otherwise than its user may expect, in sentences."""
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

    def wake(self) -> None:
        """Lie where it computes; nothing where it does already. `denoise` does it too.

        Raises torch.OutOfMemoryError where there is no room for it at all.
        """
        ...

    def park(self) -> None:
        """Lie in the host's memory alone, ready for `wake`."""
        ...

    def tensors(self) -> Iterator[torch.Tensor]:
        """Its parameters and buffers; the same one may come twice."""
        ...

    def describe(self, job: ResolvedJob | None = None) -> dict[str, Any]:
        """What made the pixels: dtypes, device, GPU, library versions; with a job its scheduler.

        With the job that was denoised last, if it has LoRAs, also `effective_prompt`, which is
        what was encoded, and `loras`, what was applied: id, weight, file, sha256, a1111_hash and
        the number of modules changed in each component.
        """
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """How models of one architecture are described (without torch) and loaded."""

    parameters_of: Callable[[ModelSpec], type[JobRequest]]
    load: Callable[[ModelSpec, Experience], Model]

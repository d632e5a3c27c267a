"""The part of diffusers that we use, typed; the only place that imports it."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast

import torch

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.folders import check_tokenizer, weights_variant
from daemon.families.samplers import Sampler

Config = Mapping[str, Any]


class Scheduler(Protocol):
    config: Config
    timesteps: torch.Tensor
    step: Callable[..., tuple[torch.Tensor, ...]]

    def set_timesteps(self, num_inference_steps: int) -> None: ...


class MultistepScheduler(Scheduler, Protocol):
    """One that returns the sample alone and keeps what it made of the last model outputs."""

    model_outputs: list[torch.Tensor]


class Posterior(Protocol):
    def mode(self) -> torch.Tensor: ...


class Vae(Protocol):
    config: Any

    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def device(self) -> torch.device: ...
    def to(self, dtype: torch.dtype) -> object: ...
    def encode(self, x: torch.Tensor, *, return_dict: bool) -> tuple[Posterior]: ...
    def decode(self, z: torch.Tensor, *, return_dict: bool) -> tuple[torch.Tensor]: ...


class SdxlPipeline(Protocol):
    """`StableDiffusionXLPipeline`, called for latents."""

    config: Any
    scheduler: Scheduler
    vae: Vae

    def encode_prompt(
        self, prompt: str, *, do_classifier_free_guidance: bool
    ) -> tuple[torch.Tensor, None, torch.Tensor, None]: ...

    def __call__(  # noqa: PLR0913  # the pipeline takes what it takes
        self,
        *,
        prompt_embeds: torch.Tensor,
        pooled_prompt_embeds: torch.Tensor,
        negative_prompt_embeds: torch.Tensor | None,
        negative_pooled_prompt_embeds: torch.Tensor | None,
        width: int,
        height: int,
        num_inference_steps: int,
        guidance_scale: float,
        generator: torch.Generator,
        output_type: str,
        return_dict: bool,
        callback_on_step_end: Callable[..., dict[str, torch.Tensor]],
        callback_on_step_end_tensor_inputs: list[str],
    ) -> tuple[torch.Tensor]: ...


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs and in which precision."""

    device: torch.device
    dtype: torch.dtype


def place(spec: ModelSpec) -> Placement:
    """Where the spec wants its model, checked against what this machine has.

    Raises ModelError when the device or the dtype is unknown or not here.
    """
    name = spec.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise ModelError(
            f"model {spec.name}: no device is named {name!r}; say auto, cpu, cuda or cuda:N"
        )
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"model {spec.name}: device {name} is not here, torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} GPUs; correct device or check nvidia-smi"
        )
    return Placement(device, _dtype(spec, device))


def _dtype(spec: ModelSpec, device: torch.device) -> torch.dtype:
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    name = spec.dtype or ("float32" if device.type == "cpu" else "float16")
    if name not in known:
        raise ModelError(f"model {spec.name}: no dtype is named {name!r}; say {', '.join(known)}")
    return known[name]


def open_sdxl(spec: ModelSpec, placement: Placement) -> SdxlPipeline:
    """Load an SDXL folder onto its device, its VAE in float32.

    Raises ModelError when weights are missing or unreadable.
    """
    for part in ("tokenizer", "tokenizer_2"):
        check_tokenizer(spec, part)
    diffusers = _diffusers()
    try:
        pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(
            str(spec.weights),
            dtype={"vae": torch.float32, "default": placement.dtype},
            variant=weights_variant(spec.weights / "unet"),
            local_files_only=True,
            use_safetensors=True,
            add_watermarker=False,
        )
    except Exception as error:
        # Broken folders raise whatever the library at fault happens to raise.
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {spec.name}: cannot load {spec.weights} ({type(error).__name__}: {reason}); "
            "fetch the model again or correct weights"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return cast("SdxlPipeline", pipeline.to(placement.device))


def make_scheduler(sampler: Sampler, config: Config) -> Scheduler:
    """A fresh scheduler of the sampler for a model whose own scheduler has this config."""
    scheduler_class = getattr(_diffusers(), sampler.scheduler)
    return cast("Scheduler", scheduler_class.from_config(config, **sampler.options))


def library_versions() -> dict[str, str]:
    """The versions of what computes the pixels."""
    return {"torch": torch.__version__, "diffusers": str(_diffusers().__version__)}


@cache
def _diffusers() -> Any:
    # Read by the hub's client and the loggers when they are imported, never again.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    transformers = importlib.import_module("transformers")
    diffusers = importlib.import_module("diffusers")
    for library in (transformers, diffusers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    return diffusers

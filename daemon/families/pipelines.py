"""The part of diffusers that we use, typed; the only place that imports it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch

from daemon import libraries
from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.chunks import Tokenizer
from daemon.families.folders import check_tokenizer, read_config, weights_variant
from daemon.families.samplers import Sampler
from daemon.weights.assembly import assemble
from daemon.weights.completeness import check_complete
from daemon.weights.layouts import LAYOUTS
from daemon.weights.sharing import SHARED, Kind, text_encoders
from daemon.weights.sizes import weights_files

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
    def to(self, *place: torch.device | torch.dtype) -> object: ...
    def enable_tiling(self) -> None: ...
    def disable_tiling(self) -> None: ...
    def encode(self, x: torch.Tensor, *, return_dict: bool) -> tuple[Posterior]: ...
    def decode(self, z: torch.Tensor, *, return_dict: bool) -> tuple[torch.Tensor]: ...


class TextEncoding(Protocol):
    """What it is, or pooled, comes first, as in a tuple."""

    hidden_states: tuple[torch.Tensor, ...]

    def __getitem__(self, index: int) -> torch.Tensor: ...


class TextEncoder(Protocol):
    @property
    def dtype(self) -> torch.dtype: ...
    def __call__(self, ids: torch.Tensor, *, output_hidden_states: bool) -> TextEncoding: ...


class LoraPipeline(Protocol):
    """What every pipeline does with LoRAs."""

    def load_lora_weights(self, weights: dict[str, torch.Tensor], *, adapter_name: str) -> None: ...
    def set_adapters(self, adapter_names: list[str], adapter_weights: list[float]) -> None: ...
    def delete_adapters(self, adapter_names: str) -> None: ...
    def enable_lora(self) -> None: ...
    def disable_lora(self) -> None: ...
    def unload_lora_weights(self) -> None: ...


class SdxlPipeline(LoraPipeline, Protocol):
    """`StableDiffusionXLPipeline`, called for latents."""

    config: Any
    scheduler: Scheduler
    vae: Vae
    tokenizer: Tokenizer
    tokenizer_2: Tokenizer
    unet: torch.nn.Module
    text_encoder: TextEncoder
    text_encoder_2: TextEncoder

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
    default = "float32" if device.type == "cpu" else "float16"
    return Placement(device, dtype_named(spec, spec.dtype or default))


def dtype_named(spec: ModelSpec, name: str) -> torch.dtype:
    """The dtype that the spec names so. Raises ModelError when there is none."""
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if name not in known:
        raise ModelError(f"model {spec.name}: no dtype is named {name!r}; say {', '.join(known)}")
    return known[name]


def open_sdxl(spec: ModelSpec, placement: Placement) -> SdxlPipeline:
    """Load an SDXL, as `open_weights` says."""
    tokenizers = ("tokenizer", "tokenizer_2")
    return cast(
        "SdxlPipeline",
        open_weights(spec, placement, "StableDiffusionXLPipeline", tokenizers, "unet"),
    )


def open_weights(
    spec: ModelSpec,
    placement: Placement,
    pipeline_class: str,
    tokenizers: tuple[str, ...],
    network: str,
) -> Any:
    """Load the model's folder or files into the host's memory, its VAE in float32.

    `network` is the folder of the part that denoises. Raises ModelError when weights are missing
    or unreadable.
    """
    dtypes = {"vae": torch.float32, "default": placement.dtype}
    if spec.weights.is_file():
        pipeline = assemble(spec, dtypes, mapped=placement.device.type != "cpu")
        pipeline.set_progress_bar_config(disable=True)
        return pipeline
    for tokenizer in tokenizers:
        check_tokenizer(spec, tokenizer)
    options = {"add_watermarker": False} if spec.family == "sdxl" else {}
    variant = weights_variant(spec.weights / network)
    encoders = _shared_encoders(spec, placement.dtype) if variant is None else {}
    found = {name: module for name, of in encoders.items() if (module := text_encoders.find(*of))}
    pipeline = open_folder(spec, placement, pipeline_class, variant=variant, **options, **found)
    check_complete(spec.weights, pipeline)
    for name in encoders.keys() - found.keys():
        text_encoders.note(*encoders[name], getattr(pipeline, name))
    return pipeline


def _shared_encoders(spec: ModelSpec, dtype: torch.dtype) -> dict[str, tuple[Kind, list[Path]]]:
    """The kinds and files of the text encoders in a folder that others may have too."""
    # A folder may name another class than ours, such as Qwen3Model.
    index = read_config(spec, "model_index.json")
    classes = {
        name: named[-1] for name, named in index.items() if isinstance(named, list) and named
    }
    return {
        component.name: (
            Kind.in_folder(spec.weights / component.name, str(classes.get(component.name)), dtype),
            weights_files(spec.weights / component.name),
        )
        for component in LAYOUTS[spec.family].components
        if component.part in SHARED
    }


def open_folder(spec: ModelSpec, placement: Placement, pipeline_class: str, **options: Any) -> Any:
    """Load a diffusers folder, its VAE in float32.

    `options` are more arguments of `from_pretrained`. Raises ModelError when weights are missing
    or unreadable.
    """
    diffusers = libraries.diffusers()
    try:
        pipeline = getattr(diffusers, pipeline_class).from_pretrained(
            str(spec.weights),
            dtype={"vae": torch.float32, "default": placement.dtype},
            local_files_only=True,
            use_safetensors=True,
            **options,
        )
    except Exception as error:
        # Broken folders raise whatever the library at fault happens to raise.
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {spec.name}: cannot load {spec.weights} ({type(error).__name__}: {reason}); "
            "fetch the model again or correct weights"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make_scheduler(sampler: Sampler, config: Config, **changes: str | bool) -> Scheduler:
    """A fresh scheduler of the sampler for a model whose own scheduler has this config.

    `changes` go over the config; what a class does not know of them it passes over.
    """
    scheduler_class = getattr(libraries.diffusers(), sampler.scheduler)
    # As arguments: in a config, from_config drops what the file it came from did not say.
    return cast("Scheduler", scheduler_class.from_config(config, **sampler.options, **changes))


def input_device(encoder: TextEncoder) -> torch.device:
    """Where the encoder wants its tokens, which need not be where its weights lie now."""
    device = libraries.diffusers().utils.torch_utils.get_module_execution_device(encoder)
    return cast("torch.device", device)


def library_versions() -> dict[str, str]:
    """The versions of what computes the pixels."""
    return {"torch": torch.__version__, "diffusers": str(libraries.diffusers().__version__)}

"""The flow-matching pipelines of diffusers, typed as far as we use them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Protocol, cast

import torch

from daemon import libraries
from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.pipelines import (
    Config,
    LoraPipeline,
    Placement,
    Scheduler,
    Vae,
    open_weights,
    place,
)
from daemon.families.samplers import flow_samplers

log = logging.getLogger(__name__)


class FlowScheduler(Scheduler, Protocol):
    """`sigmas` holds one more value than there are timesteps: the last is 0."""

    sigmas: torch.Tensor

    @property
    def step_index(self) -> int: ...


class Encoded(Protocol):
    """What a tokenizer makes of one text."""

    input_ids: list[int]


class Tokenizer(Protocol):
    chat_template: str | None

    def __call__(self, text: str) -> Encoded: ...
    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        tokenize: bool,
        add_generation_prompt: bool,
        enable_thinking: bool,
    ) -> str: ...


class FlowPipeline(LoraPipeline, Protocol):
    """What the pipelines have in common. Called with `output_type="latent"`."""

    scheduler: Any
    vae: Vae

    def __call__(self, **arguments: Any) -> tuple[torch.Tensor]: ...


class FluxPipeline(FlowPipeline, Protocol):
    """Two text encoders: CLIP for one pooled vector, T5 (`tokenizer_2`) for the sequence."""

    tokenizer_2: Tokenizer

    def encode_prompt(
        self, prompt: str, *, max_sequence_length: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]: ...


class ChromaPipeline(FlowPipeline, Protocol):
    """T5 alone; the third of what is encoded is the mask of its tokens."""

    tokenizer: Tokenizer

    def encode_prompt(
        self, prompt: str, *, do_classifier_free_guidance: bool, max_sequence_length: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None, None]: ...


class ZImagePipeline(FlowPipeline, Protocol):
    """Qwen3; embeddings are lists of one (tokens, features) for each picture.

    It writes its chat template into a list of prompts that it is given: never pass the caller's.
    """

    tokenizer: Tokenizer

    def encode_prompt(
        self, prompt: str, *, do_classifier_free_guidance: bool, max_sequence_length: int
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]: ...


def open_flux(spec: ModelSpec, placement: Placement) -> FluxPipeline:
    """Load a Flux, as `open_weights` says."""
    return cast("FluxPipeline", _open(spec, placement, "FluxPipeline", "tokenizer", "tokenizer_2"))


def open_chroma(spec: ModelSpec, placement: Placement) -> ChromaPipeline:
    """Load a Chroma, as `open_weights` says."""
    return cast("ChromaPipeline", _open(spec, placement, "ChromaPipeline", "tokenizer"))


def open_zimage(spec: ModelSpec, placement: Placement) -> ZImagePipeline:
    """Load a Z-Image, as `open_weights` says."""
    return cast("ZImagePipeline", _open(spec, placement, "ZImagePipeline", "tokenizer"))


def _open(spec: ModelSpec, placement: Placement, pipeline_class: str, *tokenizers: str) -> Any:
    return open_weights(spec, placement, pipeline_class, tokenizers, "transformer")


def make_flow_scheduler(spec: ModelSpec, config: Config) -> FlowScheduler:
    """A flow-match Euler scheduler with this config, and with the spec's shift if it has one.

    Raises ModelError when the config asks for noise in every step: the pipelines draw it from
    no generator, so that one seed would give a new picture each time.
    """
    if config.get("stochastic_sampling"):
        raise ModelError(
            f"model {spec.name}: its scheduler_config.json asks for stochastic_sampling, with "
            "which one seed gives another picture each time; set it to false there"
        )
    # A dynamic shift, which follows the picture's size, would leave the spec's without effect.
    own = {} if spec.shift is None else {"shift": spec.shift, "use_dynamic_shifting": False}
    scheduler_class = getattr(libraries.diffusers(), flow_samplers["euler"].scheduler)
    return cast("FlowScheduler", scheduler_class.from_config(config, **own))


def place_flow(spec: ModelSpec) -> Placement:
    """Where a flow model runs: in bfloat16 on GPUs that compute with it, else in float32.

    Raises ModelError when the device or the dtype is unknown or not here, or the dtype float16.
    """
    if spec.dtype == "float16":
        raise ModelError(
            f"model {spec.name}: family {spec.family} overflows in float16 to pictures that are "
            "no numbers; set its dtype to bfloat16, or to float32 on a GPU older than Ampere"
        )
    placement = place(spec)
    if spec.dtype is not None or placement.device.type == "cpu":
        return placement
    dtype = dtype_for(torch.cuda.get_device_capability(placement.device))
    if dtype == torch.float32:
        log.warning(
            "model %s: %s cannot compute in bfloat16, so it runs in float32, which takes twice "
            "the memory and several times as long; a GPU of compute capability 8.0 would not",
            spec.name,
            torch.cuda.get_device_name(placement.device),
        )
    return replace(placement, dtype=dtype)


def dtype_for(capability: tuple[int, int]) -> torch.dtype:
    """The dtype for a GPU of this CUDA compute capability. Never float16: it overflows."""
    return torch.bfloat16 if capability >= (8, 0) else torch.float32

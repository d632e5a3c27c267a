"""What FLUX.1 models take, read from a model folder without torch."""

from __future__ import annotations

from typing import Any

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.flow_parameters import (
    flow_fields,
    guidance_scale,
    no_guidance,
    no_negative_prompt,
)
from daemon.families.folders import check_pipeline, read_card, read_config
from daemon.families.parameters import create_parameters
from spool.jobs import JobRequest

PIPELINE = "FluxPipeline"

# diffusers' own defaults, which it takes for dev; the model card's example takes 50 steps.
DEV_STEPS, DEV_GUIDANCE = 28, 3.5
# The example on the card of FLUX.1-schnell: 4 steps, guidance 0, 256 tokens.
SCHNELL_STEPS = 4
DEV_TOKENS, SCHNELL_TOKENS = 512, 256


def parameters_of(spec: ModelSpec) -> type[JobRequest]:
    """The parameters of a Flux model folder, dev or schnell, with the model's own defaults.

    A default comes from the spec, else from the folder's card, else from the family.
    Raises ModelError when the folder is not a Flux model or a default is out of range.
    """
    check_pipeline(spec, PIPELINE)
    return create_parameters(spec, _dev(spec) if is_dev(spec) else _schnell(spec))


def is_dev(spec: ModelSpec) -> bool:
    """Whether the folder holds dev, whose transformer is told the guidance scale, or schnell."""
    if spec.variant is not None:
        raise ModelError(
            f"model {spec.name}: dev and schnell are told apart by their weights; remove variant"
        )
    return bool(read_config(spec, "transformer/config.json").get("guidance_embeds"))


def max_tokens(spec: ModelSpec) -> int:
    """How many tokens of a prompt the model was trained to read."""
    return DEV_TOKENS if is_dev(spec) else SCHNELL_TOKENS


def _dev(spec: ModelSpec) -> dict[str, Any]:
    card = read_card(spec)
    return {
        **flow_fields(spec, card, steps=DEV_STEPS),
        "guidance_scale": guidance_scale(
            spec,
            card,
            DEV_GUIDANCE,
            "How closely to follow the prompt; the model is told this number, so a higher one "
            "takes no longer",
        ),
        "negative_prompt": no_negative_prompt("flux takes no negative prompt"),
    }


def _schnell(spec: ModelSpec) -> dict[str, Any]:
    card = read_card(spec)
    return {
        **flow_fields(spec, card, steps=SCHNELL_STEPS),
        "guidance_scale": no_guidance(
            spec, card, most=0, reason="flux schnell would ignore a guidance scale"
        ),
        "negative_prompt": no_negative_prompt("flux takes no negative prompt"),
    }

"""What Z-Image models take, read from a model folder without torch."""

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
from daemon.families.folders import check_pipeline, read_card
from daemon.families.parameters import create_parameters, optional
from spool.jobs import JobRequest, Prompt

PIPELINE = "ZImagePipeline"
TURBO, BASE = "turbo", "base"

# diffusers' example for Turbo. The model card says 9 steps, of which 8 were run: the last one of
# older schedulers did nothing.
TURBO_STEPS = 8
# The example on the card of Z-Image; it recommends 28 to 50 steps and a guidance of 3 to 5.
BASE_STEPS, BASE_GUIDANCE = 50, 4.0
MAX_TOKENS = 512


def parameters_of(spec: ModelSpec) -> type[JobRequest]:
    """The parameters of a Z-Image model folder of the spec's variant, with its own defaults.

    A default comes from the spec, else from the folder's card, else from the family.
    Raises ModelError when the folder is not a Z-Image model or a default is out of range.
    """
    check_pipeline(spec, PIPELINE)
    return create_parameters(spec, _turbo(spec) if is_turbo(spec) else _base(spec))


def is_turbo(spec: ModelSpec) -> bool:
    """Whether the spec says that the weights, which look alike, are those of Turbo.

    Raises ModelError when there is no such variant.
    """
    variant = spec.variant or TURBO
    if variant not in (TURBO, BASE):
        raise ModelError(
            f"model {spec.name}: Z-Image has no variant {variant!r}; say {TURBO} or {BASE}"
        )
    return variant == TURBO


def _turbo(spec: ModelSpec) -> dict[str, Any]:
    card = read_card(spec)
    return {
        **flow_fields(spec, card, steps=TURBO_STEPS),
        # 1 is what other programs call no guidance; in diffusers' Z-Image it would guide.
        "guidance_scale": no_guidance(
            spec, card, most=1, reason="zimage turbo runs without guidance"
        ),
        "negative_prompt": no_negative_prompt("zimage turbo takes no negative prompt"),
    }


def _base(spec: ModelSpec) -> dict[str, Any]:
    card = read_card(spec)
    return {
        **flow_fields(spec, card, steps=BASE_STEPS),
        "guidance_scale": guidance_scale(
            spec,
            card,
            BASE_GUIDANCE,
            "How closely to follow the prompt; at 0 there is no guidance, the negative prompt "
            "has no effect, and each step takes half as long",
        ),
        "negative_prompt": optional(Prompt, None, "What the picture must not show"),
    }

"""What SDXL models take, read from a model folder without torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import Field

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.folders import Card, check_pipeline, read_card, read_config
from daemon.families.parameters import create_parameters, narrowed, one_of, optional, without
from daemon.families.samplers import samplers
from spool.jobs import Guidance, JobRequest, Pixels, Prompt, Steps

PIPELINE = "StableDiffusionXLPipeline"
MIN_PX, MAX_PX = 64, 2048

# A1111 reads these out of the prompt. As words they would only blur the picture.
_PROMPT = without(
    Prompt,
    "<([Ll][Oo][Rr][Aa]|[Ll][Yy][Cc][Oo]|[Hh][Yy][Pp][Ee][Rr][Nn][Ee][Tt]):",
    "a tag such as <lora:…>; name LoRAs in the field loras instead",
)


def parameters_of(spec: ModelSpec) -> type[JobRequest]:
    """The parameters of an SDXL model folder, with the model's own defaults.

    A default comes from the spec, else from the folder's card, else from the family.
    Raises ModelError when the folder is not an SDXL model or a default is out of range.
    """
    check_pipeline(spec, PIPELINE)
    card = read_card(spec)
    multiple, trained = _sizes_px(spec)
    width = _first(spec.width, card.width, trained[0])
    height = _first(spec.height, card.height, trained[1])
    usable = _usable_samplers(spec)
    sampler = _first(spec.sampler, card.sampler, "euler_a")
    return create_parameters(
        spec,
        {
            "prompt": (
                _PROMPT,
                Field(description="What the picture shows", examples=list(card.prompts)),
            ),
            "negative_prompt": optional(_PROMPT, None, "What the picture must not show"),
            "width": _side("Width", width, trained[0], multiple),
            "height": _side("Height", height, trained[1], multiple),
            "steps": _steps(spec, card, sampler),
            "guidance_scale": _guidance_scale(spec, card),
            "sampler": optional(
                one_of(usable), sampler, "How the noise is taken away: " + ", ".join(usable)
            ),
        },
        _step_limits(usable),
    )


def _sizes_px(spec: ModelSpec) -> tuple[int, tuple[int, int]]:
    # The autoencoder halves once between two blocks; a side must be whole after that.
    blocks = read_config(spec, "vae/config.json").get("block_out_channels", [0] * 4)
    sample = read_config(spec, "unet/config.json").get("sample_size", 128)
    try:
        factor = 2 ** (len(blocks) - 1)
        height, width = sample if isinstance(sample, list) else (sample, sample)
        return factor, (int(width) * factor, int(height) * factor)
    except (TypeError, ValueError):
        raise ModelError(
            f"model {spec.name}: {spec.weights} has no usable sizes in unet/config.json "
            "(sample_size) and vae/config.json (block_out_channels); fetch the model again"
        ) from None


def _first(*choices: Any) -> Any:
    return next(choice for choice in choices if choice is not None)


def _usable_samplers(spec: ModelSpec) -> list[str]:
    config = read_config(spec, "scheduler/scheduler_config.json")
    zero_snr = _first(spec.zero_snr, config.get("rescale_betas_zero_snr"), False)
    return [name for name, sampler in samplers.items() if sampler.zero_snr or not zero_snr]


def _side(side: str, default_px: object, trained_px: int, multiple: int) -> tuple[Any, Any]:
    return optional(
        narrowed(Pixels, ge=MIN_PX, le=MAX_PX, multiple_of=multiple),
        default_px,
        f"{side} in pixels, a multiple of {multiple}. The model was trained at about "
        f"{trained_px}; sizes far from that are rendered too, but look worse",
    )


def _steps(spec: ModelSpec, card: Card, sampler: object) -> tuple[Any, Any]:
    steps = _first(spec.steps, card.steps, 28)
    most = samplers[sampler].max_steps if sampler in samplers else None
    if most is not None and steps > most:
        raise ModelError(
            f"model {spec.name}: its default sampler {sampler} takes at most {most} steps, its "
            f"default steps are {steps}; correct one of them"
        )
    return optional(
        narrowed(Steps, ge=1, le=200),
        steps,
        "Denoising steps; more take longer and add detail",
    )


def _guidance_scale(spec: ModelSpec, card: Card) -> tuple[Any, Any]:
    return optional(
        narrowed(Guidance, ge=0, le=30, allow_inf_nan=False),
        _first(spec.guidance_scale, card.guidance_scale, 6.0),
        "How closely to follow the prompt; up to 1 there is no guidance and the negative "
        "prompt has no effect",
    )


def _step_limits(names: Collection[str]) -> list[dict[str, Any]]:
    """A rule for each sampler that takes fewer steps than a job may ask for."""
    return [
        {
            "if": {"properties": {"sampler": {"const": name}}, "required": ["sampler"]},
            "then": {"properties": {"steps": {"maximum": most, "when": f"with sampler {name}"}}},
        }
        for name in names
        if (most := samplers[name].max_steps) is not None
    ]

"""What SDXL models take, read from a model folder without torch."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.folders import Card, check_pipeline, read_card, read_config
from daemon.families.parameters import create_parameters, narrowed, one_of, optional
from daemon.families.samplers import samplers
from spool.jobs import Guidance, JobRequest, Pixels, Prompt, Steps

PIPELINE = "StableDiffusionXLPipeline"
MIN_PX, MAX_PX = 64, 2048


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
    return create_parameters(
        spec,
        {
            "prompt": _prompt(card),
            "width": _side("Width", width, trained[0], multiple),
            "height": _side("Height", height, trained[1], multiple),
            "steps": _steps(spec, card),
            "guidance_scale": _guidance_scale(spec, card),
            "sampler": _sampler(spec, card),
        },
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


def _first(*choices: object) -> object:
    return next(choice for choice in choices if choice is not None)


def _prompt(card: Card) -> tuple[Any, Any]:
    return (Prompt, Field(description="What the picture shows", examples=list(card.prompts)))


def _side(side: str, default_px: object, trained_px: int, multiple: int) -> tuple[Any, Any]:
    return optional(
        narrowed(Pixels, ge=MIN_PX, le=MAX_PX, multiple_of=multiple),
        default_px,
        f"{side} in pixels, a multiple of {multiple}. The model was trained at about "
        f"{trained_px}; sizes far from that are rendered too, but look worse",
    )


def _steps(spec: ModelSpec, card: Card) -> tuple[Any, Any]:
    return optional(
        narrowed(Steps, ge=1, le=200),
        _first(spec.steps, card.steps, 28),
        "Denoising steps; more take longer and add detail",
    )


def _guidance_scale(spec: ModelSpec, card: Card) -> tuple[Any, Any]:
    return optional(
        narrowed(Guidance, ge=0, le=30, allow_inf_nan=False),
        _first(spec.guidance_scale, card.guidance_scale, 6.0),
        "How closely to follow the prompt; up to 1 there is no guidance and the negative "
        "prompt has no effect",
    )


def _sampler(spec: ModelSpec, card: Card) -> tuple[Any, Any]:
    return optional(
        one_of(samplers),
        _first(spec.sampler, card.sampler, "euler_a"),
        "How the noise is taken away: " + ", ".join(samplers),
    )

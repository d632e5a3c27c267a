"""What the flow-matching families take alike, read from a model folder without torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.folders import Card
from daemon.families.parameters import narrowed, one_of, optional, refused
from daemon.families.samplers import flow_samplers
from spool.jobs import Guidance, LoraRequest, Pixels, Prompt, Steps

MIN_PX, MAX_PX, NATURAL_PX = 64, 2048, 1024

# The autoencoder makes a latent of 8 pixels, the transformer a patch of 2 latents. Flux and
# Chroma round other sizes down without an error.
MULTIPLE_PX = 16


def flow_fields(spec: ModelSpec, card: Card, *, steps: int) -> dict[str, tuple[Any, Any]]:
    """The fields that all of them have, with this many steps where nobody says otherwise.

    Raises ModelError when the spec names LoRAs and does not allow them.
    """
    if spec.loras is not None and not spec.allow_loras:
        raise ModelError(
            f"model {spec.name}: family {spec.family} takes no LoRAs; remove "
            "loras from the configuration, or set allow_loras = true"
        )
    return {
        "prompt": (
            Prompt,
            Field(description="What the picture shows", examples=list(card.prompts)),
        ),
        "width": _side("Width", default_of("width", spec, card, NATURAL_PX)),
        "height": _side("Height", default_of("height", spec, card, NATURAL_PX)),
        "steps": optional(
            narrowed(Steps, ge=1, le=200),
            default_of("steps", spec, card, steps),
            f"Denoising steps; more take longer and add detail. The model is made for {steps}",
        ),
        "sampler": optional(
            one_of(flow_samplers),
            default_of("sampler", spec, card, "euler"),
            "How the noise is taken away: Euler's method for flow matching",
        ),
        **_loras(spec),
    }


def _loras(spec: ModelSpec) -> dict[str, tuple[Any, Any]]:
    """The field of the LoRAs where there are none, else that of every request."""
    if spec.allow_loras:
        return {}
    return {
        "loras": refused(
            Annotated[tuple[LoraRequest, ...], Field(max_length=0)],
            (),
            f"{spec.family} takes no LoRAs; leave loras out",
        )
    }


def guidance_scale(
    spec: ModelSpec, card: Card, default: float, description: str
) -> tuple[Any, Any]:
    """The field of a model with guidance of its own choice, from 0 to 30."""
    return optional(
        narrowed(Guidance, ge=0, le=30, allow_inf_nan=False),
        default_of("guidance_scale", spec, card, default),
        description,
    )


def no_guidance(spec: ModelSpec, card: Card, *, most: int, reason: str) -> tuple[Any, Any]:
    """The field of a model without guidance: the whole numbers from 0 to `most` mean none."""
    return refused(
        narrowed(Guidance, ge=0, le=most, multiple_of=1, allow_inf_nan=False),
        default_of("guidance_scale", spec, card, 0.0),
        f"{reason}; leave it out or say 0",
    )


def no_negative_prompt(reason: str) -> tuple[Any, Any]:
    """The field of a model that knows none; an empty one asks for nothing and is let through."""
    return refused(Annotated[str, Field(max_length=0)], None, f"{reason}; leave it out")


def default_of(name: str, spec: ModelSpec, card: Card, family: object) -> object:
    """A default from the spec, else from the folder's card, else from the family."""
    choices = (getattr(spec, name), getattr(card, name), family)
    return next(choice for choice in choices if choice is not None)


def _side(side: str, default_px: object) -> tuple[Any, Any]:
    return optional(
        narrowed(Pixels, ge=MIN_PX, le=MAX_PX, multiple_of=MULTIPLE_PX),
        default_px,
        f"{side} in pixels, a multiple of {MULTIPLE_PX}. The model was trained at about "
        f"{NATURAL_PX}; sizes far from that are rendered too, but look worse",
    )

"""What Chroma models take, read from a model folder without torch."""

from __future__ import annotations

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.flow_parameters import flow_fields, guidance_scale
from daemon.families.folders import check_pipeline, read_card
from daemon.families.parameters import create_parameters, optional
from spool.jobs import JobRequest, Prompt

PIPELINE = "ChromaPipeline"

# The example on the card of Chroma1-HD. diffusers' own defaults are 35 steps and guidance 5.
STEPS, GUIDANCE = 40, 3.0
MAX_TOKENS = 512


def parameters_of(spec: ModelSpec) -> type[JobRequest]:
    """The parameters of a Chroma model folder, with the model's own defaults.

    A default comes from the spec, else from the folder's card, else from the family.
    Raises ModelError when the folder is not a Chroma model or a default is out of range.
    """
    check_pipeline(spec, PIPELINE)
    if spec.variant is not None:
        raise ModelError(f"model {spec.name}: family chroma has no variants; remove variant")
    card = read_card(spec)
    return create_parameters(
        spec,
        {
            **flow_fields(spec, card, steps=STEPS),
            "guidance_scale": guidance_scale(
                spec,
                card,
                GUIDANCE,
                "How closely to follow the prompt; up to 1 there is no guidance, the negative "
                "prompt has no effect, and each step takes half as long",
            ),
            "negative_prompt": optional(Prompt, None, "What the picture must not show"),
        },
    )

"""The same picture from a model of ours and from diffusers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from daemon.families import Model, Step
from spool.jobs import ResolvedJob

if TYPE_CHECKING:
    from PIL.Image import Image

FLOW_MODELS = ("dev", "schnell", "chroma", "turbo", "base")

JOB = ResolvedJob(
    model="m",
    prompt="a red cat",
    negative_prompt=None,
    width=64,
    height=64,
    seed=0,
    steps=3,
    guidance_scale=3.0,
    sampler="euler",
)


def job(**changes: Any) -> ResolvedJob:
    return JOB.model_copy(update=changes)


def ignore(_step: Step) -> None:
    pass


def render(model: Model, wanted: ResolvedJob, seed: int = 7) -> Image:
    return model.decode(model.denoise(wanted, seed, ignore))


def bare_picture(pipeline: Any, wanted: ResolvedJob, seed: int = 7, **arguments: Any) -> Image:
    """What diffusers makes of the job; `arguments` come over those that every family takes."""
    taken = {
        "prompt": wanted.prompt,
        "width": wanted.width,
        "height": wanted.height,
        "num_inference_steps": wanted.steps,
        "guidance_scale": wanted.guidance_scale,
        "generator": torch.Generator("cpu").manual_seed(seed),
    }
    picture: Image = pipeline(**{**taken, **arguments}).images[0]
    return picture

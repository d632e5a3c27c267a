"""What all families do alike: one call of the pipeline, with care before and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from daemon.errors import RenderError
from daemon.families.autoencoder import Autoencoder, is_finite
from daemon.families.base import ModelSpec
from daemon.families.pipelines import Placement, dtype_named, library_versions
from daemon.previews import Projection
from spool.jobs import ResolvedJob

StepEnd = Callable[..., dict[str, torch.Tensor]]
"""The pipeline's callback; it is given the pipeline and the index of the step, and more."""


def fit_and_lower(autoencoder: Autoencoder, spec: ModelSpec, placement: Placement) -> Projection:
    """The projection of a VAE that is in float32; after that the VAE is in the model's dtype."""
    projection = autoencoder.projection()
    if spec.vae_dtype is None:
        autoencoder.lower(placement.dtype)
    else:
        autoencoder.to(dtype_named(spec, spec.vae_dtype))
    return projection


def run(
    pipeline: Callable[..., tuple[torch.Tensor]],
    conditioning: Mapping[str, Any],
    job: ResolvedJob,
    seed: int,
    step_end: StepEnd,
) -> torch.Tensor:
    """Run the pipeline to latents, in its own layout, for the job's picture with this seed.

    `conditioning` are its arguments that say what to draw and how closely.
    """
    return pipeline(
        **conditioning,
        width=job.width,
        height=job.height,
        num_inference_steps=job.steps,
        # Drawn on the CPU, one seed gives one noise on every device and in every dtype.
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="latent",
        return_dict=False,
        callback_on_step_end=step_end,
        callback_on_step_end_tensor_inputs=[],
    )[0]


def require_finite(latents: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The latents, if they are finite. Raises RenderError naming the dtype that made them."""
    if not is_finite(latents):
        raise RenderError(
            f"the latents are not finite in {name_of(dtype)}; set the model's dtype to bfloat16 or "
            "float32, and if it is that already, fetch the model again"
        )
    return latents


def describe_machine(
    spec: ModelSpec, placement: Placement, autoencoder: Autoencoder
) -> dict[str, Any]:
    """Where and in which precision pictures are made, and by which libraries."""
    description: dict[str, Any] = {
        "family": spec.family,
        "device": str(placement.device),
        "dtype": name_of(placement.dtype),
        "vae_dtype": name_of(autoencoder.dtype),
        "decoded": autoencoder.decoded,
        **library_versions(),
    }
    if placement.device.type == "cuda":
        description["gpu"] = torch.cuda.get_device_name(placement.device)
    return description


def name_of(dtype: torch.dtype) -> str:
    """The dtype's name in the configuration."""
    return str(dtype).removeprefix("torch.")

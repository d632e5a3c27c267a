"""SDXL: `StableDiffusionXLPipeline` run to latents and decoded as a separate step."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from daemon.families.autoencoder import Autoencoder
from daemon.families.base import ModelSpec, OnStep, Step
from daemon.families.embeddings import EmbeddingCache
from daemon.families.estimates import needs_of
from daemon.families.job_loras import JobLoras
from daemon.families.pipelines import (
    Placement,
    SdxlPipeline,
    open_sdxl,
    place,
)
from daemon.families.profiles import Experience
from daemon.families.prompts import SdxlPrompts
from daemon.families.rendering import (
    StepEnd,
    describe_machine,
    fit_and_lower,
    require_finite,
    run,
)
from daemon.families.residency import Residency
from daemon.families.resident import Resident
from daemon.families.samplers import samplers
from daemon.families.schedulers import SdxlSchedulers, WatchedScheduler, noise_changes
from daemon.families.sdxl_parameters import parameters_of
from daemon.families.weighting import parse
from daemon.loras import effective_prompt
from daemon.previews import Projection
from spool.jobs import JobRequest, ResolvedJob

EMBEDDINGS_BYTES = 64 << 20
"""Of one chunk of a prompt SDXL's are 0.3 MB in half precision."""


def load(spec: ModelSpec, experience: Experience) -> Sdxl:
    """Load an SDXL folder into the host's memory and fit its previews.

    Raises ModelError when the folder, its weights, or the device cannot be used.
    """
    parameters = parameters_of(spec)
    placement = place(spec)
    pipeline = open_sdxl(spec, placement)
    autoencoder = Autoencoder(pipeline.vae, placement.device, experience)
    projection = fit_and_lower(autoencoder, spec, placement)
    needs = needs_of(spec.family, placement.dtype, autoencoder.dtype)
    residency = Residency(spec.name, pipeline, placement.device, spec.vram, experience, needs)
    return Sdxl(spec, parameters, placement, pipeline, autoencoder, projection, residency)


class Sdxl(Resident):
    """A loaded SDXL model; see `daemon.families.base.Model`."""

    def __init__(
        self,
        spec: ModelSpec,
        parameters: type[JobRequest],
        placement: Placement,
        pipeline: SdxlPipeline,
        autoencoder: Autoencoder,
        projection: Projection,
        residency: Residency,
    ) -> None:
        super().__init__(parameters, autoencoder, residency, EmbeddingCache(EMBEDDINGS_BYTES))
        self.spec = spec
        self._placement = placement
        self._pipeline = pipeline
        self._projection = projection
        encoders = (spec.weights, spec.text_encoder, spec.text_encoder_2, spec.tokenizer)
        self._prompts = SdxlPrompts(pipeline, encoders, self._embeddings)
        self._schedulers = SdxlSchedulers(pipeline.scheduler.config, noise_changes(spec))
        self._loras = JobLoras(
            spec, pipeline, placement.dtype, effective_prompt, bare=residency.bare
        )

    def total_steps(self, job: ResolvedJob) -> int:
        return self._schedulers.timesteps(job.sampler, job.steps)

    def warnings(self, job: ResolvedJob) -> tuple[str, ...]:
        sides = {"prompt": job.prompt, "negative_prompt": job.negative_prompt or ""}
        return tuple(
            f"{name}: {note}" for name, text in sides.items() for note in parse(text).notes
        )

    def sampler_label(self, job: ResolvedJob) -> str:
        return samplers[job.sampler].label

    def denoise(self, job: ResolvedJob, seed: int, on_step: OnStep) -> torch.Tensor:
        def work() -> torch.Tensor:
            # Outside of inference mode, as LoRAs want it.
            prompt = self._loras.apply(job)
            self._embeddings.move(self._placement.device)
            with self._residency.computing():
                return self._denoise(job, prompt, seed, on_step)

        return self._residency.run((job.width, job.height), work)

    def _denoise(self, job: ResolvedJob, prompt: str, seed: int, on_step: OnStep) -> torch.Tensor:
        watched = self._schedulers.of(job.sampler)
        self._pipeline.scheduler = watched.scheduler
        conditioning = self._prompts.condition(
            prompt,
            job.negative_prompt,
            guided=job.guidance_scale > 1,
            adapters=self._loras.text_state,
        )
        arguments = {**conditioning, "guidance_scale": job.guidance_scale}
        step_end = _report_steps(watched, self._projection, on_step)
        latents = run(self._pipeline, arguments, job, seed, step_end)
        return require_finite(latents, self._placement.dtype)

    def describe(self, job: ResolvedJob | None = None) -> dict[str, Any]:
        description = describe_machine(self.spec, self._placement, self._autoencoder)
        if job is not None:
            description["scheduler"] = samplers[job.sampler].scheduler
            description["memory"] = self._residency.describe((job.width, job.height))
            description |= self._loras.describe(job)
        return description


def _report_steps(watched: WatchedScheduler, projection: Projection, on_step: OnStep) -> StepEnd:
    """The pipeline's callback: tells `on_step` of each step and what it predicts."""

    def step_end(_pipeline: object, index: int, *_: object) -> dict[str, torch.Tensor]:
        preview = partial(projection.project, watched.x0)
        on_step(Step(index + 1, len(watched.scheduler.timesteps), preview))
        return {}

    return step_end

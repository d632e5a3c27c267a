"""What the flow-matching families share: they differ in their prompts and in their latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch

from daemon.families.autoencoder import Autoencoder
from daemon.families.base import ModelSpec, OnStep, Step
from daemon.families.embeddings import EmbeddingCache
from daemon.families.estimates import needs_of
from daemon.families.flow_pipelines import FlowPipeline, Tokenizer, make_flow_scheduler
from daemon.families.flow_scheduler import Prediction, WatchedFlow
from daemon.families.job_loras import JobLoras
from daemon.families.packing import unpack
from daemon.families.pipelines import Placement
from daemon.families.profiles import Experience
from daemon.families.rendering import (
    StepEnd,
    describe_machine,
    fit_and_lower,
    require_finite,
    run,
)
from daemon.families.residency import Residency
from daemon.families.resident import Resident
from daemon.families.samplers import flow_samplers
from daemon.loras import plain_prompt
from spool.jobs import JobRequest, ResolvedJob

if TYPE_CHECKING:
    from PIL.Image import Image


Pipeline = TypeVar("Pipeline", bound=FlowPipeline)


class Flow(Resident, ABC, Generic[Pipeline]):
    """A loaded flow model; see `daemon.families.base.Model`.

    The pipeline comes in the host's memory, its VAE preferably in float32, in which the previews
    are fitted; it is lowered to the model's dtype then.
    """

    max_tokens: int
    """The length of the longest prompt that is not cut, in tokens, special ones included."""

    is_packed: ClassVar[bool]
    """Whether the pipeline's latents are a sequence of patches."""

    def __init__(
        self,
        spec: ModelSpec,
        parameters: type[JobRequest],
        placement: Placement,
        pipeline: Pipeline,
        experience: Experience,
    ) -> None:
        self.spec = spec
        self._placement = placement
        self._pipeline = pipeline
        self._watched = WatchedFlow(make_flow_scheduler(spec, pipeline.scheduler.config))
        pipeline.scheduler = self._watched.scheduler
        autoencoder = Autoencoder(pipeline.vae, placement.device, experience)
        self._projection = fit_and_lower(autoencoder, spec, placement)
        needs = needs_of(spec.family, placement.dtype, autoencoder.dtype)
        residency = Residency(spec.name, pipeline, placement.device, spec.vram, experience, needs)
        self._loras = JobLoras(spec, pipeline, placement.dtype, plain_prompt, bare=residency.bare)
        super().__init__(parameters, autoencoder, residency, EmbeddingCache())

    @abstractmethod
    def _is_guided(self, job: ResolvedJob) -> bool:
        """Whether the negative prompt counts."""

    @abstractmethod
    def _count_tokens(self, text: str) -> int:
        """How many tokens the text has before it is cut, special ones included."""

    @abstractmethod
    def _conditioning(self, job: ResolvedJob) -> dict[str, Any]:
        """The arguments of the pipeline that say what to draw and how closely.

        The job's prompt has the triggers of its LoRAs.
        """

    def total_steps(self, job: ResolvedJob) -> int:
        # The pipelines give the scheduler a sigma for each step, and it takes each of them once.
        return job.steps

    def sampler_label(self, job: ResolvedJob) -> str:
        return flow_samplers[job.sampler].label

    def warnings(self, job: ResolvedJob) -> tuple[str, ...]:
        texts = {"prompt": job.prompt}
        if job.negative_prompt and self._is_guided(job):
            texts["negative_prompt"] = job.negative_prompt
        counts = {name: self._count_tokens(text) for name, text in texts.items()}
        return tuple(
            f"{name}: {count} tokens are more than the {self.max_tokens} that model "
            f"{self.spec.name} reads; the last {count - self.max_tokens} were cut off"
            for name, count in counts.items()
            if count > self.max_tokens
        )

    def denoise(self, job: ResolvedJob, seed: int, on_step: OnStep) -> torch.Tensor:
        def work() -> torch.Tensor:
            # Outside of inference mode, as LoRAs want it.
            prompt = self._loras.apply(job)
            return self._denoise(job.model_copy(update={"prompt": prompt}), seed, on_step)

        return self._residency.run((job.width, job.height), work)

    def _denoise(self, job: ResolvedJob, seed: int, on_step: OnStep) -> torch.Tensor:
        self._embeddings.move(self._placement.device)
        with self._residency.computing():
            step_end = self._report_steps(job, on_step)
            latents = run(self._pipeline, self._conditioning(job), job, seed, step_end)
        return require_finite(self._unpacked(latents, job), self._placement.dtype)

    def describe(self, job: ResolvedJob | None = None) -> dict[str, Any]:
        description = describe_machine(self.spec, self._placement, self._autoencoder)
        if self.spec.shift is not None:
            description["shift"] = str(self.spec.shift)
        if job is not None:
            description["scheduler"] = flow_samplers[job.sampler].scheduler
            description |= self._loras.describe(job)
            description["memory"] = self._residency.describe((job.width, job.height))
        return description

    def _report_steps(self, job: ResolvedJob, on_step: OnStep) -> StepEnd:
        """The pipeline's callback: tells `on_step` of each step and what it predicts."""

        def step_end(_pipeline: object, index: int, *_: object) -> dict[str, torch.Tensor]:
            preview = partial(self._preview, self._watched.prediction, job)
            on_step(Step(index + 1, len(self._watched.scheduler.timesteps), preview))
            return {}

        return step_end

    @torch.inference_mode()
    def _preview(self, prediction: Prediction, job: ResolvedJob) -> Image | None:
        return self._projection.project(self._unpacked(prediction.x0(), job))

    def _unpacked(self, latents: torch.Tensor, job: ResolvedJob) -> torch.Tensor:
        """The pipeline's latents as (1, channels, h, w)."""
        if not self.is_packed:
            return latents
        factor = self._autoencoder.scale_factor
        return unpack(latents, job.height // factor, job.width // factor)


def count_tokens(tokenizer: Tokenizer, text: str) -> int:
    """How many tokens the text has, uncut, special ones included."""
    return len(tokenizer(text).input_ids)

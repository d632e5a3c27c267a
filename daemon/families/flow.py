"""What the flow-matching families share: they differ in their prompts and in their latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch

from daemon.errors import RenderError
from daemon.families.autoencoder import Autoencoder, is_finite
from daemon.families.base import ModelSpec, OnStep, Step
from daemon.families.embeddings import EmbeddingCache
from daemon.families.estimates import needs_of
from daemon.families.flow_pipelines import FlowPipeline, Tokenizer, make_flow_scheduler
from daemon.families.flow_scheduler import Prediction, WatchedFlow
from daemon.families.job_loras import JobLoras
from daemon.families.offloading import CPU
from daemon.families.packing import unpack
from daemon.families.parameters import default_size
from daemon.families.pipelines import Placement, dtype_named, library_versions
from daemon.families.profiles import Experience
from daemon.families.residency import Residency
from daemon.families.samplers import flow_samplers
from daemon.loras import plain_prompt
from spool.jobs import JobRequest, ResolvedJob

if TYPE_CHECKING:
    from PIL.Image import Image


Pipeline = TypeVar("Pipeline", bound=FlowPipeline)


class Flow(ABC, Generic[Pipeline]):
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
        self.parameters = parameters
        self._placement = placement
        self._pipeline = pipeline
        self._embeddings = EmbeddingCache()
        self._watched = WatchedFlow(make_flow_scheduler(spec, pipeline.scheduler.config))
        pipeline.scheduler = self._watched.scheduler
        self._autoencoder = Autoencoder(pipeline.vae, placement.device, experience)
        self._projection = self._autoencoder.projection()
        if spec.vae_dtype is None:
            self._autoencoder.lower(placement.dtype)
        else:
            self._autoencoder.to(dtype_named(spec, spec.vae_dtype))
        needs = needs_of(spec.family, placement.dtype, self._autoencoder.dtype)
        self._residency = Residency(
            spec.name, pipeline, placement.device, spec.vram, experience, needs
        )
        self._loras = JobLoras(
            spec, pipeline, placement.dtype, plain_prompt, bare=self._residency.bare
        )

    def wake(self) -> None:
        self._residency.run(default_size(self.parameters), lambda: None)

    def park(self) -> None:
        self._residency.park()
        self._embeddings.move(CPU)

    def tensors(self) -> Iterator[torch.Tensor]:
        return self._residency.tensors()

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
            latents = self._unpacked(self._run(job, seed, self._report_steps(job, on_step)), job)
        if not is_finite(latents):
            dtype = _name(self._placement.dtype)
            raise RenderError(
                f"the latents are not finite in {dtype}; set the model's dtype to bfloat16 or "
                "float32, and if it is that already, fetch the model again"
            )
        return latents

    def decode(self, latents: torch.Tensor) -> Image:
        try:
            return self._autoencoder.decode(latents)
        finally:
            self._residency.rest()

    def describe(self, job: ResolvedJob | None = None) -> dict[str, Any]:
        device = self._placement.device
        description: dict[str, Any] = {
            "family": self.spec.family,
            "device": str(device),
            "dtype": _name(self._placement.dtype),
            "vae_dtype": _name(self._autoencoder.dtype),
            "decoded": self._autoencoder.decoded,
            **library_versions(),
        }
        if device.type == "cuda":
            description["gpu"] = torch.cuda.get_device_name(device)
        if self.spec.shift is not None:
            description["shift"] = str(self.spec.shift)
        if job is not None:
            description["scheduler"] = flow_samplers[job.sampler].scheduler
            description |= self._loras.describe(job)
            description["memory"] = self._residency.describe((job.width, job.height))
        return description

    def _run(self, job: ResolvedJob, seed: int, step_end: Callable[..., Any]) -> torch.Tensor:
        return self._pipeline(
            **self._conditioning(job),
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

    def _report_steps(
        self, job: ResolvedJob, on_step: OnStep
    ) -> Callable[..., dict[str, torch.Tensor]]:
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


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

"""FLUX.1, dev and schnell: `FluxPipeline` run to latents and decoded as a separate step."""

from __future__ import annotations

from typing import Any

from daemon.families.base import ModelSpec
from daemon.families.embeddings import Tensors
from daemon.families.flow import Flow, count_tokens
from daemon.families.flow_pipelines import FluxPipeline, open_flux, place_flow
from daemon.families.flux_parameters import max_tokens, parameters_of
from daemon.families.pipelines import Placement
from daemon.families.profiles import Experience
from spool.jobs import JobRequest, ResolvedJob


def load(spec: ModelSpec, experience: Experience) -> Flux:
    """Load a Flux folder into the host's memory and fit its previews.

    Raises ModelError when the folder, its weights, or the device cannot be used.
    """
    parameters = parameters_of(spec)
    placement = place_flow(spec)
    pipeline = open_flux(spec, placement)
    return Flux(spec, parameters, placement, pipeline, experience)


class Flux(Flow[FluxPipeline]):
    """A loaded Flux model."""

    is_packed = True

    def __init__(
        self,
        spec: ModelSpec,
        parameters: type[JobRequest],
        placement: Placement,
        pipeline: FluxPipeline,
        experience: Experience,
    ) -> None:
        super().__init__(spec, parameters, placement, pipeline, experience)
        self.max_tokens = max_tokens(spec)

    def _is_guided(self, job: ResolvedJob) -> bool:  # noqa: ARG002  # none is
        return False

    def _count_tokens(self, text: str) -> int:
        return count_tokens(self._pipeline.tokenizer_2, text)

    def _conditioning(self, job: ResolvedJob) -> dict[str, Any]:
        key = (job.prompt, self._loras.text_state)
        embeds, pooled = self._embeddings.get(key, lambda: self._encode(job.prompt))
        return {
            "prompt_embeds": embeds,
            "pooled_prompt_embeds": pooled,
            "guidance_scale": job.guidance_scale,
        }

    def _encode(self, text: str) -> Tensors:
        """The embeddings (1, max_tokens, features) and, pooled, (1, features)."""
        return self._pipeline.encode_prompt(text, max_sequence_length=self.max_tokens)[:2]

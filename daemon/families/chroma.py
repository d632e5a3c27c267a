"""Chroma: `ChromaPipeline` run to latents and decoded as a separate step.

The schedule of a folder is its own. That of a lone file is diffusers' plain one: sigmas from 1 to
1/steps, `shift` 1, none that follows the size. The repositories of Chroma1-HD and Base have a
scheduler_config.json of 147 bytes, with room for two settings beside the class; OneTrainer
(modules/modelSampler/ChromaSampler.py), which loads it, sets timesteps without a `mu`, which a
dynamic shift would not let it. Their text was not to be had, so beta sigmas cannot be ruled out;
stable-diffusion.cpp, too, takes 1 for a model without `guidance_in`. ComfyUI departs from it: its
FLUX schedule, which Chroma got (ComfyUI #7961), shifts by exp(1.15), which is `shift = 3.16` here.
"""

from __future__ import annotations

from typing import Any

from daemon.families.base import ModelSpec
from daemon.families.chroma_parameters import MAX_TOKENS, parameters_of
from daemon.families.embeddings import Tensors
from daemon.families.flow import Flow, count_tokens
from daemon.families.flow_pipelines import ChromaPipeline, open_chroma, place_flow
from daemon.families.profiles import Experience
from spool.jobs import ResolvedJob


def load(spec: ModelSpec, experience: Experience) -> Chroma:
    """Load a Chroma folder into the host's memory and fit its previews.

    Raises ModelError when the folder, its weights, or the device cannot be used.
    """
    parameters = parameters_of(spec)
    placement = place_flow(spec)
    pipeline = open_chroma(spec, placement)
    return Chroma(spec, parameters, placement, pipeline, experience)


class Chroma(Flow[ChromaPipeline]):
    """A loaded Chroma model."""

    is_packed = True
    max_tokens = MAX_TOKENS

    def _is_guided(self, job: ResolvedJob) -> bool:
        return job.guidance_scale > 1

    def _count_tokens(self, text: str) -> int:
        return count_tokens(self._pipeline.tokenizer, text)

    def _conditioning(self, job: ResolvedJob) -> dict[str, Any]:
        embeds, mask = self._encode(job.prompt)
        conditioning = {
            "prompt_embeds": embeds,
            "prompt_attention_mask": mask,
            "guidance_scale": job.guidance_scale,
        }
        if self._is_guided(job):
            embeds, mask = self._encode(job.negative_prompt or "")
            conditioning["negative_prompt_embeds"] = embeds
            conditioning["negative_prompt_attention_mask"] = mask
        return conditioning

    def _encode(self, text: str) -> Tensors:
        """The embeddings (1, 512, features) and the mask (1, 512) of their tokens."""

        def encode() -> Tensors:
            embeds, _, mask, *_ = self._pipeline.encode_prompt(
                text, do_classifier_free_guidance=False, max_sequence_length=MAX_TOKENS
            )
            return embeds, mask

        return self._embeddings.get((text,), encode)

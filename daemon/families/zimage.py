"""Z-Image, Turbo and base: `ZImagePipeline` run to latents and decoded as a separate step."""

from __future__ import annotations

from typing import Any

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.families.embeddings import Tensors
from daemon.families.flow import Flow, count_tokens
from daemon.families.flow_pipelines import ZImagePipeline, open_zimage, place_flow
from daemon.families.profiles import Experience
from daemon.families.zimage_parameters import MAX_TOKENS, is_turbo, parameters_of
from spool.jobs import ResolvedJob


def load(spec: ModelSpec, experience: Experience) -> ZImage:
    """Load a Z-Image folder into the host's memory and fit its previews.

    Raises ModelError when the folder, its weights, or the device cannot be used.
    """
    parameters = parameters_of(spec)
    placement = place_flow(spec)
    pipeline = open_zimage(spec, placement)
    if pipeline.tokenizer.chat_template is None:
        raise ModelError(
            f"model {spec.name}: the tokenizer of {spec.weights} has no chat template "
            "(chat_template.jinja, or chat_template in tokenizer_config.json), without which no "
            "prompt can be read; fetch the model again"
        )
    return ZImage(spec, parameters, placement, pipeline, experience)


class ZImage(Flow[ZImagePipeline]):
    """A loaded Z-Image model."""

    is_packed = False
    max_tokens = MAX_TOKENS

    def _is_guided(self, job: ResolvedJob) -> bool:
        # The pipeline guides at any scale above 0, 1 included; Turbo must not be guided at all.
        return not is_turbo(self.spec) and job.guidance_scale > 0

    def _count_tokens(self, text: str) -> int:
        templated = self._pipeline.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=True,
        )
        return count_tokens(self._pipeline.tokenizer, templated)

    def _conditioning(self, job: ResolvedJob) -> dict[str, Any]:
        embeds = self._encode(job.prompt)
        if not self._is_guided(job):
            return {"prompt_embeds": embeds, "guidance_scale": 0.0}
        return {
            "prompt_embeds": embeds,
            "negative_prompt_embeds": self._encode(job.negative_prompt or ""),
            "guidance_scale": job.guidance_scale,
        }

    def _encode(self, text: str) -> list[Any]:
        """The embeddings, a list of one (tokens, features), new each time: it is the caller's."""

        def encode() -> Tensors:
            embeds, _ = self._pipeline.encode_prompt(
                text, do_classifier_free_guidance=False, max_sequence_length=MAX_TOKENS
            )
            return tuple(embeds)

        return list(self._embeddings.get((text,), encode))

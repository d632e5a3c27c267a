"""Prompt embeddings, remembered: a batch, and the next job, often say the same again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypedDict

import torch

from daemon.families.pipelines import SdxlPipeline

Encoding = tuple[torch.Tensor, torch.Tensor]


class SdxlConditioning(TypedDict):
    """The embeddings as the pipeline's keywords: (1, 77, features) and, pooled, (1, features)."""

    prompt_embeds: torch.Tensor
    pooled_prompt_embeds: torch.Tensor
    negative_prompt_embeds: torch.Tensor | None
    negative_pooled_prompt_embeds: torch.Tensor | None


class SdxlPrompts:
    """Encodes prompts with the pipeline's text encoders, and keeps the last `capacity` texts.

    What it returns is bit-equal to what the pipeline makes of the same prompts.
    """

    def __init__(self, pipeline: SdxlPipeline, capacity: int = 64) -> None:
        self._pipeline = pipeline
        self._capacity = capacity
        self._known: OrderedDict[str, Encoding] = OrderedDict()

    def condition(self, prompt: str, negative: str | None, *, guided: bool) -> SdxlConditioning:
        """The embeddings of a prompt, and of its negative prompt when there is guidance.

        A negative prompt of None is not the empty one: models that say so get zeros for it.
        """
        embeds, pooled = self._encode(prompt)
        unwanted = self._encode_negative(negative, like=prompt) if guided else (None, None)
        return {
            "prompt_embeds": embeds,
            "pooled_prompt_embeds": pooled,
            "negative_prompt_embeds": unwanted[0],
            "negative_pooled_prompt_embeds": unwanted[1],
        }

    def _encode_negative(self, negative: str | None, like: str) -> Encoding:
        if negative is None and self._pipeline.config.force_zeros_for_empty_prompt:
            embeds, pooled = self._encode(like)
            return torch.zeros_like(embeds), torch.zeros_like(pooled)
        return self._encode(negative or "")

    def _encode(self, text: str) -> Encoding:
        if text in self._known:
            self._known.move_to_end(text)
            return self._known[text]
        embeds, _, pooled, _ = self._pipeline.encode_prompt(text, do_classifier_free_guidance=False)
        self._known[text] = (embeds, pooled)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return embeds, pooled

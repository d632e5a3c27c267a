"""SDXL's conditioning: prompts with A1111's weights and of any length, as embeddings."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import zip_longest
from typing import TypedDict

import torch

from daemon.families.chunks import Chunk, Chunker
from daemon.families.embeddings import EmbeddingCache
from daemon.families.pipelines import SdxlPipeline, input_device
from daemon.families.weighting import parse

Encoding = tuple[torch.Tensor, torch.Tensor]
"""Embeddings (1, 77 × chunks, features) and, pooled, (1, features)."""


class SdxlConditioning(TypedDict):
    """The embeddings as the pipeline's keywords, both sides of the same number of tokens."""

    prompt_embeds: torch.Tensor
    pooled_prompt_embeds: torch.Tensor
    negative_prompt_embeds: torch.Tensor | None
    negative_pooled_prompt_embeds: torch.Tensor | None


class SdxlPrompts:
    """Encodes prompts with the pipeline's two text encoders.

    A prompt without weights and of at most 75 tokens is encoded by the pipeline itself, any other
    chunk by chunk. `encoders` names the weights of the two in the keys of `cache`.
    """

    def __init__(self, pipeline: SdxlPipeline, encoders: Hashable, cache: EmbeddingCache) -> None:
        self._pipeline = pipeline
        self._chunkers = (Chunker(pipeline.tokenizer), Chunker(pipeline.tokenizer_2))
        self._encoders = encoders
        self._cache = cache

    @torch.no_grad()
    def condition(
        self, prompt: str, negative: str | None, *, guided: bool, adapters: Hashable = ()
    ) -> SdxlConditioning:
        """The embeddings of a prompt, and of its negative prompt when there is guidance.

        A negative prompt of None is not the empty one: models that say so get zeros for it. The
        shorter side is padded with the embeddings of the empty prompt. `adapters` stands for the
        LoRAs in force in the text encoders. Raises RenderError where a prompt is too long.
        """
        wanted = self._encode(prompt, adapters)
        if not guided:
            return _conditioning(wanted, (None, None))
        if negative is None and self._pipeline.config.force_zeros_for_empty_prompt:
            return _conditioning(wanted, (torch.zeros_like(wanted[0]), torch.zeros_like(wanted[1])))
        unwanted = self._encode(negative or "", adapters)
        tokens = max(wanted[0].shape[1], unwanted[0].shape[1])
        return _conditioning(
            self._padded(wanted, tokens, adapters), self._padded(unwanted, tokens, adapters)
        )

    def _padded(self, encoding: Encoding, tokens: int, adapters: Hashable) -> Encoding:
        embeds, pooled = encoding
        if embeds.shape[1] == tokens:
            return encoding
        empty, _ = self._encode("", adapters)
        missing = (tokens - embeds.shape[1]) // empty.shape[1]
        return torch.cat([embeds, *[empty] * missing], dim=1), pooled

    def _encode(self, text: str, adapters: Hashable) -> Encoding:
        dtype = self._pipeline.text_encoder_2.dtype
        key = (self._encoders, adapters, dtype, text)
        embeds, pooled = self._cache.get(key, lambda: self._encode_anew(text))
        return embeds, pooled

    def _encode_anew(self, text: str) -> Encoding:
        prompt = parse(text)
        chunks = [chunker.cut(prompt.sections) for chunker in self._chunkers]
        if prompt.plain is not None and all(len(cut) == 1 for cut in chunks):
            embeds, _, pooled, _ = self._pipeline.encode_prompt(
                prompt.plain, do_classifier_free_guidance=False
            )
            return embeds, pooled
        # Vocabularies that differ may cut a prompt into unequal numbers of chunks.
        empty = [chunker.empty for chunker in self._chunkers]
        pairs = [(first or empty[0], second or empty[1]) for first, second in zip_longest(*chunks)]
        encodings = [self._encode_chunk(*pair) for pair in pairs]
        return torch.cat([embeds for embeds, _ in encodings], dim=1), encodings[0][1]

    def _encode_chunk(self, first: Chunk, second: Chunk) -> Encoding:
        """What the pipeline does with its 77 tokens, and the weights between."""
        pipeline = self._pipeline
        states = []
        for encoder, chunk in ((pipeline.text_encoder, first), (pipeline.text_encoder_2, second)):
            ids = torch.tensor([chunk.ids], device=input_device(encoder))
            output = encoder(ids, output_hidden_states=True)
            states.append(emphasised(output.hidden_states[-2], chunk.weights))
        return torch.cat(states, dim=-1), output[0]


def emphasised(states: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """Hidden states (1, tokens, features), each token's times its weight, their mean restored.

    The source is A1111's emphasis "Original": z times w, then times the mean of z before over
    the mean after, taken over all tokens and features. Where tokens' means have one sign, that
    quotient lies between 1 / max(w) and 1 / min(w); where they cancel each other out it may be
    anything, and is held there. Computed in float32, so that nothing overflows in between; the
    result has the states' dtype.
    """
    if all(weight == 1.0 for weight in weights):
        return states
    before = states.float()
    after = before * torch.tensor(weights, device=states.device).view(1, -1, 1)
    restored = before.mean() / after.mean()
    if min(weights) > 0:
        restored = restored.clamp(1 / max(weights), 1 / min(weights))
    return (after * restored).to(states.dtype)


def _conditioning(
    wanted: Encoding, unwanted: tuple[torch.Tensor | None, torch.Tensor | None]
) -> SdxlConditioning:
    return {
        "prompt_embeds": wanted[0],
        "pooled_prompt_embeds": wanted[1],
        "negative_prompt_embeds": unwanted[0],
        "negative_pooled_prompt_embeds": unwanted[1],
    }

"""The text encoders: CLIP, T5 and Qwen3, two layers deep and 32 numbers wide."""

from __future__ import annotations

import importlib
from typing import Any

from tests.models.tokenizers import CLIP_SPECIAL, clip_vocabulary


def clip_encoder(*, width: int = 32, layers: int = 2, projection: bool = False) -> Any:
    """A CLIPTextModel, or with `projection` a CLIPTextModelWithProjection."""
    transformers = importlib.import_module("transformers")
    vocabulary = clip_vocabulary()
    start, end = (vocabulary[token] for token in CLIP_SPECIAL)
    config = transformers.CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=layers,
        num_attention_heads=4,
        projection_dim=width,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
    name = "CLIPTextModelWithProjection" if projection else "CLIPTextModel"
    return getattr(transformers, name)(config)


def t5_encoder(tokenizer: Any) -> Any:
    """A T5EncoderModel for the tokenizer's vocabulary."""
    transformers = importlib.import_module("transformers")
    return transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=len(tokenizer),
            d_model=32,
            d_kv=8,
            d_ff=37,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
        )
    )


def qwen_encoder(tokenizer: Any) -> Any:
    """A Qwen3Model for the tokenizer's vocabulary."""
    transformers = importlib.import_module("transformers")
    return transformers.Qwen3Model(
        transformers.Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=1024,
        )
    )

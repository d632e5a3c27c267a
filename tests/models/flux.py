"""Flux and Chroma as diffusers folders."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Unpack

from tests.models.autoencoders import flux_autoencoder
from tests.models.folders import Saving, write
from tests.models.text_encoders import clip_encoder, t5_encoder
from tests.models.tokenizers import clip_tokenizer, t5_tokenizer
from tests.models.weights import roughen, seeded

WIDTH = 32
"""Of the transformer; the real one is 3072 wide, which diffusers' converters take for granted."""

_TRANSFORMER = {
    "in_channels": 64,
    "num_layers": 2,
    "num_single_layers": 2,
    "attention_head_dim": WIDTH // 2,
    "num_attention_heads": 2,
    "joint_attention_dim": 32,
    "axes_dims_rope": (4, 4, 8),
}


def save_tiny_flux_dev(folder: Path, *, seed: int = 0, **how: Unpack[Saving]) -> Path:
    """Write a Flux that was distilled with guidance as an input (1 MB)."""
    scheduler = _scheduler(
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )
    return _save_flux(folder, scheduler, seed, guidance=True, how=how)


def save_tiny_flux_schnell(folder: Path, *, seed: int = 1, **how: Unpack[Saving]) -> Path:
    """Write a Flux without guidance, for few steps."""
    scheduler = _scheduler(shift=1.0, use_dynamic_shifting=False)
    return _save_flux(folder, scheduler, seed, guidance=False, how=how)


def save_tiny_chroma(folder: Path, *, seed: int = 2, **how: Unpack[Saving]) -> Path:
    """Write a Chroma: Flux without CLIP, its modulations computed by one small network."""
    diffusers = importlib.import_module("diffusers")
    tokenizer = t5_tokenizer()
    with seeded(seed):
        networks = {
            "transformer": diffusers.ChromaTransformer2DModel(
                approximator_num_channels=8,
                approximator_hidden_dim=16,
                approximator_layers=2,
                **_TRANSFORMER,
            ),
            "vae": flux_autoencoder(),
            "text_encoder": t5_encoder(tokenizer),
        }
        roughen(*networks.values())
    pipeline = diffusers.ChromaPipeline(
        **networks,
        tokenizer=tokenizer,
        scheduler=_scheduler(shift=1.0, use_dynamic_shifting=False),
    )
    return write(pipeline, folder, **how)


def _save_flux(folder: Path, scheduler: Any, seed: int, *, guidance: bool, how: Saving) -> Path:
    diffusers = importlib.import_module("diffusers")
    tokenizer_2 = t5_tokenizer()
    with seeded(seed):
        networks = {
            "transformer": diffusers.FluxTransformer2DModel(
                pooled_projection_dim=32, guidance_embeds=guidance, **_TRANSFORMER
            ),
            "vae": flux_autoencoder(),
            "text_encoder": clip_encoder(),
            "text_encoder_2": t5_encoder(tokenizer_2),
        }
        roughen(*networks.values())
    pipeline = diffusers.FluxPipeline(
        **networks, tokenizer=clip_tokenizer(), tokenizer_2=tokenizer_2, scheduler=scheduler
    )
    return write(pipeline, folder, **how)


def _scheduler(**config: Any) -> Any:
    diffusers = importlib.import_module("diffusers")
    return diffusers.FlowMatchEulerDiscreteScheduler(**config)

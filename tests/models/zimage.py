"""Z-Image as diffusers folders."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Unpack

from tests.models.autoencoders import flux_autoencoder
from tests.models.folders import Saving, write
from tests.models.text_encoders import qwen_encoder
from tests.models.tokenizers import qwen_tokenizer
from tests.models.weights import roughen, seeded


def save_tiny_zimage_turbo(folder: Path, *, seed: int = 0, **how: Unpack[Saving]) -> Path:
    """Write a Z-Image-Turbo (1.6 MB), which differs from the base in its scheduler's shift."""
    return _save(folder, seed, shift=3.0, how=how)


def save_tiny_zimage(folder: Path, *, seed: int = 1, **how: Unpack[Saving]) -> Path:
    """Write the Z-Image that was not distilled."""
    return _save(folder, seed, shift=6.0, how=how)


def _save(folder: Path, seed: int, *, shift: float, how: Saving) -> Path:
    diffusers = importlib.import_module("diffusers")
    tokenizer = qwen_tokenizer()
    with seeded(seed):
        networks = {
            "transformer": diffusers.ZImageTransformer2DModel(
                dim=32,
                n_layers=2,
                n_refiner_layers=1,
                n_heads=2,
                n_kv_heads=2,
                cap_feat_dim=32,
                axes_dims=[4, 4, 8],
                axes_lens=[1024, 512, 512],
            ),
            "vae": flux_autoencoder(),
            "text_encoder": qwen_encoder(tokenizer),
        }
        roughen(*networks.values())
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift, use_dynamic_shifting=False)
    pipeline = diffusers.ZImagePipeline(**networks, tokenizer=tokenizer, scheduler=scheduler)
    return write(pipeline, folder, **how)

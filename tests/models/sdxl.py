"""SDXL as diffusers folders: the smallest that works, and one laid out as the real one is."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Unpack

from tests.models.autoencoders import sdxl_autoencoder
from tests.models.folders import Saving, write
from tests.models.text_encoders import clip_encoder
from tests.models.tokenizers import clip_tokenizer
from tests.models.weights import roughen, seeded


def save_tiny_sdxl(folder: Path, *, seed: int = 0, **how: Unpack[Saving]) -> Path:
    """Write the smallest SDXL that works (0.7 MB): two levels, both encoders 32 wide."""
    with seeded(seed):
        parts = _parts(
            unet=_small_unet(),
            vae=sdxl_autoencoder(widths=(4, 4, 4, 4), layers=1),
            text_encoder=clip_encoder(),
            text_encoder_2=clip_encoder(projection=True),
        )
    return write(_pipeline(parts, _scheduler()), folder, **how)


def save_tiny_sdxl_real(
    folder: Path,
    *,
    prediction_type: str = "epsilon",
    zero_snr: bool = False,
    seed: int = 0,
    **how: Unpack[Saving],
) -> Path:
    """Write an SDXL with the levels, layers and shortcuts of the real one (2.6 MB in float32).

    Only this one can become a checkpoint: diffusers tells the two encoders there by their widths,
    and an SDXL from other models by the second one's tenth layer.
    """
    with seeded(seed):
        parts = _parts(
            unet=_real_unet(),
            vae=sdxl_autoencoder(),
            text_encoder=clip_encoder(),
            text_encoder_2=clip_encoder(width=64, layers=10, projection=True),
        )
    scheduler = _scheduler(prediction_type=prediction_type, rescale_betas_zero_snr=zero_snr)
    return write(_pipeline(parts, scheduler), folder, **how)


def save_tiny_illustrious(folder: Path, *, seed: int = 1, **how: Unpack[Saving]) -> Path:
    """Write a fine-tuned SDXL: the layout of the real one, other weights."""
    return save_tiny_sdxl_real(folder, seed=seed, **how)


def _parts(**networks: Any) -> dict[str, Any]:
    roughen(*networks.values())
    tokenizers = {"tokenizer": clip_tokenizer(), "tokenizer_2": clip_tokenizer(pad_token="!")}
    return {**networks, **tokenizers}


def _pipeline(parts: dict[str, Any], scheduler: Any) -> Any:
    diffusers = importlib.import_module("diffusers")
    return diffusers.StableDiffusionXLPipeline(**parts, scheduler=scheduler, add_watermarker=False)


def _small_unet() -> Any:
    return _unet(
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        projection_class_embeddings_input_dim=6 * 8 + 32,
        cross_attention_dim=32 + 32,
    )


def _real_unet() -> Any:
    return _unet(
        block_out_channels=(8, 16, 16),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=[1, 1, 2],
        attention_head_dim=(1, 2, 2),
        projection_class_embeddings_input_dim=6 * 8 + 64,
        cross_attention_dim=32 + 64,
    )


def _unet(**config: Any) -> Any:
    diffusers = importlib.import_module("diffusers")
    return diffusers.UNet2DConditionModel(
        sample_size=16,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        norm_num_groups=2,
        **config,
    )


def _scheduler(**config: Any) -> Any:
    # The config of the real SDXL.
    diffusers = importlib.import_module("diffusers")
    return diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
        **config,
    )

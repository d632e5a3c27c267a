"""A StableDiffusionXLPipeline folder with random weights: real in every part, and 0.6 MB."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

# The byte alphabet of CLIP's tokenizer is wider; ASCII is enough for the prompts of tests.
_CHARACTERS = [chr(code) for code in range(33, 127)]
_ENDS = [f"{character}</w>" for character in _CHARACTERS]
_SPECIAL = ["<|startoftext|>", "<|endoftext|>"]
_MERGES = [("c", "a"), ("ca", "t</w>"), ("r", "e"), ("re", "d</w>")]


def save_tiny_sdxl(folder: Path) -> Path:
    """Write the pipeline into `folder` and return it; the weights are the same every time."""
    torch.manual_seed(0)
    diffusers = importlib.import_module("diffusers")
    vocabulary = _vocabulary()
    pipeline = diffusers.StableDiffusionXLPipeline(
        vae=_vae(diffusers),
        text_encoder=_text_encoder("CLIPTextModel", vocabulary),
        text_encoder_2=_text_encoder("CLIPTextModelWithProjection", vocabulary),
        tokenizer=_tokenizer(vocabulary, pad_token="<|endoftext|>"),
        tokenizer_2=_tokenizer(vocabulary, pad_token="!"),
        unet=_unet(diffusers),
        scheduler=_scheduler(diffusers),
        add_watermarker=False,
    )
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return folder


def open_bare(folder: Path, variant: str | None = None) -> Any:
    """The same folder as diffusers alone loads it, in float32 on the CPU."""
    diffusers = importlib.import_module("diffusers")
    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(
        str(folder), variant=variant, dtype=torch.float32, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _vocabulary() -> dict[str, int]:
    merged = [left + right for left, right in _MERGES]
    return {token: i for i, token in enumerate(_CHARACTERS + _ENDS + merged + _SPECIAL)}


def _tokenizer(vocabulary: dict[str, int], pad_token: str) -> Any:
    transformers = importlib.import_module("transformers")
    return transformers.CLIPTokenizer(
        vocab=vocabulary, merges=_MERGES, pad_token=pad_token, model_max_length=77
    )


def _text_encoder(name: str, vocabulary: dict[str, int]) -> Any:
    transformers = importlib.import_module("transformers")
    config = transformers.CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=32,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
    )
    return getattr(transformers, name)(config)


def _unet(diffusers: Any) -> Any:
    return diffusers.UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        cross_attention_dim=64,
        norm_num_groups=2,
    )


def _vae(diffusers: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=2,
        latent_channels=4,
        scaling_factor=0.13025,
        force_upcast=False,
    )


def _scheduler(diffusers: Any) -> Any:
    # The config of the real SDXL.
    return diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
    )

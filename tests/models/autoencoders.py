"""The autoencoders: as many levels as the real ones, so that a picture is 8 times its latents."""

from __future__ import annotations

import importlib
from typing import Any


def sdxl_autoencoder(*, widths: tuple[int, ...] = (4, 8, 8, 8), layers: int = 2) -> Any:
    """SDXL's AutoencoderKL: four latent channels."""
    return _autoencoder(
        widths, layers, latent_channels=4, scaling_factor=0.13025, force_upcast=False
    )


def flux_autoencoder() -> Any:
    """The AutoencoderKL of Flux, Chroma and Z-Image: sixteen latent channels, shifted."""
    return _autoencoder(
        (4, 8, 8, 8),
        2,
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _autoencoder(widths: tuple[int, ...], layers: int, **config: Any) -> Any:
    diffusers = importlib.import_module("diffusers")
    return diffusers.AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=layers,
        norm_num_groups=2,
        **config,
    )

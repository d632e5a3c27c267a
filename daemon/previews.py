"""Previews: a small picture of unfinished latents, without a VAE decode.

The latents of common autoencoders hold colour almost linearly: one matrix turns each latent
into the mean colour of the pixels that it stands for. We fit the matrix to the loaded VAE.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, interpolate

MAX_PREVIEW_PX = 512
FIT_PICTURES, FIT_PX = 12, 128
FIT_VERSION = 1
"""Raised with every change to how projections are fitted: kept ones are then fitted anew."""


@dataclass(frozen=True)
class Projection:
    """A linear map from latents to colours.

    `weights` is (channels + 1, 3) in float32 on the CPU, the last row being the offset;
    `scale_factor` is the number of pixels to a latent, along each side.
    """

    weights: torch.Tensor
    scale_factor: int

    @torch.inference_mode()
    def project(self, latents: torch.Tensor) -> Image.Image | None:
        """Latents (1, channels, h, w) as an RGB image; None when they are not finite.

        Its longest side is the picture's own, at most 512 pixels.
        """
        rows = latents[0].float().cpu().flatten(1).T
        colours = rows @ self.weights[:-1] + self.weights[-1]
        if not bool(torch.isfinite(colours).all()):
            return None
        levels = (colours * 127.5 + 127.5).clamp(0, 255).round().to(torch.uint8)
        height, width = latents.shape[-2:]
        small = Image.fromarray(levels.reshape(height, width, 3).numpy())
        return small.resize(self._size_px(width, height), Image.Resampling.BICUBIC)

    def _size_px(self, width: int, height: int) -> tuple[int, int]:
        longest = max(width, height)
        zoom = min(MAX_PREVIEW_PX, longest * self.scale_factor) / longest
        return max(1, round(width * zoom)), max(1, round(height * zoom))


@torch.inference_mode()
def fit_projection(encode: Callable[[torch.Tensor], torch.Tensor], scale_factor: int) -> Projection:
    """Fit the projection of a VAE by least squares.

    `encode` takes pictures (n, 3, H, W) in [-1, 1] to latents (n, channels, h, w), and should do
    so in float32. Fitting to what it makes of pictures follows a VAE better than decoding noise.
    """
    pictures = _synthetic_pictures()
    latents = encode(pictures).float().cpu()
    colours = avg_pool2d(pictures, scale_factor).movedim(1, -1).flatten(0, -2)
    rows = latents.movedim(1, -1).flatten(0, -2)
    rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
    return Projection(torch.linalg.lstsq(rows, colours).solution, scale_factor)


def _synthetic_pictures() -> torch.Tensor:
    """Pictures (12, 3, 128, 128) in [-1, 1]: soft colour fields with boxes and some grain."""
    generator = torch.Generator("cpu").manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    fields = random(FIT_PICTURES, 3, 3, 3) * 2 - 1
    pictures = interpolate(fields, size=(FIT_PX, FIT_PX), mode="bilinear", align_corners=True)
    for picture in pictures:
        for _ in range(5):
            left, top = (random(2) * FIT_PX * 0.8).int().tolist()
            width, height = (random(2) * FIT_PX * 0.5 + 8).int().tolist()
            colour = random(3, 1, 1) * 2 - 1
            picture[:, top : top + height, left : left + width] = colour
    return (pictures + 0.05 * (random(*pictures.shape) - 0.5)).clamp(-1, 1)


def encode_preview(image: Image.Image) -> bytes:
    """The RGB image as a JPEG of quality 80, its longest side at most 512 pixels."""
    zoom = min(1.0, MAX_PREVIEW_PX / max(image.size))
    size = (max(1, round(image.width * zoom)), max(1, round(image.height * zoom)))
    # The gap of 1 lets whole factors be averaged away first, which is far quicker.
    small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return file.getvalue()

"""How much of a GPU's memory a picture takes, from which the profile of a model is chosen.

The table holds the peak of what is alive at once in one pass, beyond the weights. Its source is a
count of tensors, not a GPU: each network, with the configuration that genzo ships, is run on
torch's meta device at 512 to 2048 px, and the storages that its operations make are counted while
they live (tests/daemon/test_estimates.py does it again). Attention is taken to keep no matrix of
scores, as the fused kernels do not. What those kernels and cuDNN use for themselves, and what the
allocator cannot put together, is in `_MARGIN`; a wrong guess costs the first picture of a size one
rung of the ladder, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from daemon.families.offloading import VAE
from daemon.families.profiles import Profile, Size

_MARGIN = 1.5
_TILE: Size = (512, 512)
_DECODED_ELEMENTS_PER_PX = 769
"""Of the VAE that all four families have: three maps of 256 channels at the picture's full size."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What is alive at once in one pass of a network: `fixed` elements and some for each pixel."""

    fixed: int
    per_px: int

    def elements(self, size: Size) -> int:
        """The number of elements for one picture of this size."""
        return self.fixed + self.per_px * size[0] * size[1]


PASSES = {
    # With guidance, hence two pictures in one pass.
    "sdxl": Pass(fixed=0, per_px=159),
    "flux": Pass(fixed=30_000_000, per_px=207),
    # Its mask of attention grows with the square of the tokens; this is above it up to 2048 px.
    "chroma": Pass(fixed=30_000_000, per_px=263),
    # Z-Image with guidance; Turbo takes half.
    "zimage": Pass(fixed=64_000_000, per_px=475),
}


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes beyond the weights: for a step, for the decode as a whole, and for one of a tile."""

    denoise: int
    decode: int
    decode_tile: int


def needs_of(family: str, dtype: torch.dtype, vae_dtype: torch.dtype) -> Callable[[Size], Needs]:
    """What a picture of a size needs in these dtypes."""

    def decode(size: Size) -> int:
        elements = _DECODED_ELEMENTS_PER_PX * size[0] * size[1]
        return round(elements * vae_dtype.itemsize * _MARGIN)

    def needs(size: Size) -> Needs:
        denoise = round(PASSES[family].elements(size) * dtype.itemsize * _MARGIN)
        return Needs(denoise, decode(size), min(decode(size), decode(_TILE)))

    return needs


def choose(available_bytes: int, weights: Mapping[str, int], needs: Needs) -> Profile:
    """The first profile that fits into `available_bytes`; `weights` are bytes by component.

    A decode that fits with nothing else beside it is not to be cut into tiles for what lies there.
    The largest network is taken for the one that denoises, though a text encoder may be as large.
    """
    fits_whole = weights[VAE] + needs.decode <= available_bytes
    decode = needs.decode if fits_whole else needs.decode_tile
    if sum(weights.values()) + max(needs.denoise, decode) <= available_bytes:
        return Profile.FULL
    if max(weights.values()) + needs.denoise <= available_bytes:
        return Profile.BALANCED
    return Profile.LOW

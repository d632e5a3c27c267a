"""Packed latents: Flux and its kin denoise a sequence of patches, not a picture."""

from __future__ import annotations

import torch

PATCH = 2
"""Latents to a patch, along each side."""


def unpack(packed: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Lay patches (1, h/2 * w/2, channels * 4) out as latents (1, channels, h, w).

    `height` and `width` are h and w, in latents. A patch holds its values in the order channel,
    row, column (github.com/black-forest-labs/flux, `unpack`).
    """
    rows, columns = height // PATCH, width // PATCH
    patches = packed.reshape(1, rows, columns, -1, PATCH, PATCH)
    # to (1, channels, rows, PATCH, columns, PATCH)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(1, -1, height, width)

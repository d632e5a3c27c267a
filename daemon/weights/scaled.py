"""Scaled fp8, as ComfyUI writes it: a float8 weight, and beside it the factor that restores it.

A loader that does not know the factor takes the weights as they are, thousands of times too
large, and says nothing.
"""

from __future__ import annotations

from pathlib import Path

import torch

from daemon.weights.headers import WeightsError

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_FACTORS = (".scale_weight", ".weight_scale")
_INPUT_FACTORS = (".scale_input", ".input_scale")
"""For matrix products in fp8, which we do not take."""


def dequantized(tensors: dict[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """The tensors in float32 where they were float8, each times its factor; the factors go.

    Raises WeightsError if a float8 weight has no factor.
    """
    factors = {
        name.removesuffix(suffix) + ".weight": value
        for name, value in tensors.items()
        for suffix in _FACTORS
        if name.endswith(suffix)
    }
    restored = {}
    for name, value in tensors.items():
        if name.endswith(_FACTORS + _INPUT_FACTORS):
            continue
        if value.dtype not in _FLOAT8:
            restored[name] = value
        elif name in factors:
            restored[name] = value.float() * factors[name].float()
        else:
            raise WeightsError(
                f"{path}: is scaled fp8, and {name} has no scale; fetch it again, or another "
                "version of the model"
            )
    return restored

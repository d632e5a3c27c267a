"""Scaled fp8, as ComfyUI writes it: a float8 weight, and beside it the factor that restores it.

A loader that does not know the factor takes the weights as they are, thousands of times too
large, and says nothing. Older files call the factor `scale_weight` and mark themselves with a
tensor `scaled_fp8`; newer ones call it `weight_scale` and say of each layer how it is stored, in
a tensor `comfy_quant` of JSON, or of all layers together in the header's metadata:
https://github.com/comfyanonymous/ComfyUI/blob/master/QUANTIZATION.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from daemon.weights.headers import WeightsError

_FLOAT8 = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}
_FACTORS = (".scale_weight", ".weight_scale")
_FORMAT = ".comfy_quant"
_FORMATS = "_quantization_metadata"
_INPUT_FACTORS = (".scale_input", ".input_scale")
"""For matrix products in fp8, which we do not take."""
_MORE_FACTORS = (".weight_scale_2", ".pre_quant_scale")
"""Of formats with factors for blocks, or for inputs, which we do not know."""

Tensors = dict[str, torch.Tensor]


def dequantized(
    tensors: Tensors, metadata: Mapping[str, str], path: Path, dtype: torch.dtype
) -> Tensors:
    """The tensors in `dtype` where they were float8, each times its factor; the factors go.

    Raises WeightsError if a float8 weight has no factor, or a layer is in another format.
    """
    formats = _layer_formats(tensors, metadata, path)
    restored = {}
    for name, value in tensors.items():
        layer = name.removesuffix(".weight")
        if name.endswith((*_FACTORS, *_INPUT_FACTORS, _FORMAT)):
            continue
        if name.endswith(_MORE_FACTORS):
            raise _unknown(path, name.rpartition(".")[0], "with more than one factor a layer")
        wanted = formats.get(layer) if name != layer else None
        if wanted is not None and value.dtype == torch.uint8:
            value = value.view(_FLOAT8[wanted])  # noqa: PLW2901  # float8 in a container of bytes
        if value.dtype in _FLOAT8.values():
            value = (value.float() * _factor(tensors, layer, value, path)).to(dtype)  # noqa: PLW2901
        restored[name] = value
    return restored


def _layer_formats(tensors: Tensors, metadata: Mapping[str, str], path: Path) -> dict[str, str]:
    """The format of each layer that tells it. Raises WeightsError if we do not know one."""
    told: dict[str, Any] = {}
    try:
        layers = json.loads(metadata.get(_FORMATS, "{}")).get("layers", {})
        for layer, entry in layers.items():
            told[layer] = entry["format"]
        for name, value in tensors.items():
            if name.endswith(_FORMAT):
                told[name.removesuffix(_FORMAT)] = json.loads(bytes(value.tolist()))["format"]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WeightsError(
            f"{path}: does not say in JSON how its layers are quantised; fetch it again"
        ) from None
    for layer, name in told.items():
        if name not in _FLOAT8:
            raise _unknown(path, layer, f"as {str(name)[:40]}")
    return told


def _factor(tensors: Tensors, layer: str, value: torch.Tensor, path: Path) -> torch.Tensor:
    factor = next((tensors[layer + end] for end in _FACTORS if layer + end in tensors), None)
    if factor is None:
        raise WeightsError(
            f"{path}: is scaled fp8, and {layer} has no scale; fetch it again, or another "
            "version of the model"
        )
    # One for the whole weight, or one for each of its rows.
    if factor.numel() == 1:
        return factor.float().reshape(())
    if factor.shape != (value.shape[0], *(1 for _ in value.shape[1:])):
        raise _unknown(path, layer, f"with scales of the shape {tuple(factor.shape)}")
    return factor.float()


def _unknown(path: Path, layer: str, how: str) -> WeightsError:
    return WeightsError(
        f"{path}: {layer} is quantised {how}, which genzo does not know; fetch the model in fp8, "
        "bfloat16 or float16"
    )

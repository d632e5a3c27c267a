"""Weights in eight bits: cast as they are, or divided by a scale that is kept beside them."""

from __future__ import annotations

import torch

from tests.models.folders import State

MARKER = "scaled_fp8"
SCALE = ".scale_weight"
LARGEST = torch.finfo(torch.float8_e4m3fn).max


def to_fp8(state: State) -> State:
    """Every tensor as float8_e4m3fn, biases and norms included, as `flux1-dev-fp8` has them."""
    return {name: tensor.to(torch.float8_e4m3fn) for name, tensor in state.items()}


def to_scaled_fp8(state: State) -> State:
    """ComfyUI's scaled_fp8: every layer's weight over its scale, the rest in bfloat16, a marker.

    The scale is a float32 without dimensions, the marker an empty tensor of the weights' type.
    """
    scaled: State = {MARKER: torch.empty(0, dtype=torch.float8_e4m3fn)}
    for name, tensor in state.items():
        if tensor.dim() == 2 and name.endswith(".weight"):
            scale = tensor.float().abs().max() / LARGEST
            scaled[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            scaled[name.removesuffix(".weight") + SCALE] = scale
        else:
            scaled[name] = tensor.to(torch.bfloat16)
    return scaled


def from_fp8(state: State) -> State:
    """Either kind in float32 again, without marker and scales."""
    plain = {
        name: tensor.float()
        for name, tensor in state.items()
        if not name.endswith(SCALE) and name.rsplit(".", 1)[-1] != MARKER
    }
    for name in [name for name in state if name.endswith(SCALE)]:
        plain[name.removesuffix(SCALE) + ".weight"] *= state[name]
    return plain

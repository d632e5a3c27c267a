"""Whether two sets of tensors are the same, and what pictures a pipeline paints."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tests.models.folders import State


def assert_same(found: State, wanted: State, *, relative: float = 0.0) -> None:
    """Every name, shape and number must agree; `relative` to the largest number of the tensor."""
    assert sorted(found) == sorted(wanted)
    for name, tensor in wanted.items():
        assert found[name].shape == tensor.shape, name
        error = (found[name].float() - tensor.float()).abs().max()
        assert error <= relative * tensor.float().abs().max(), f"{name} is {error} off"


def networks(pipeline: Any) -> dict[str, torch.nn.Module]:
    """The pipeline's parts that hold weights."""
    parts = pipeline.components.items()
    return {name: part for name, part in parts if isinstance(part, torch.nn.Module)}


def paint(pipeline: Any, prompt: str) -> npt.NDArray[np.float32]:
    """A picture of 64x64 px after two steps, from 0 to 1."""
    pictures: Any = pipeline(
        prompt,
        width=64,
        height=64,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
    ).images
    first: npt.NDArray[np.float32] = pictures[0]
    return first

"""What all diffusers folders share: how a pipeline is written, read back, and taken apart."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors.torch import load_file

State = dict[str, torch.Tensor]


class Saving(TypedDict, total=False):
    """How a folder is written: the dtype of its weights, their variant, the size of a shard."""

    dtype: torch.dtype
    variant: str
    max_shard_size: str


def write(
    pipeline: Any,
    folder: Path,
    dtype: torch.dtype | None = None,
    **how: Any,
) -> Path:
    """Save the pipeline in the folder, and return the folder."""
    if dtype is not None:
        pipeline.to(dtype)
    pipeline.save_pretrained(str(folder), safe_serialization=True, **how)
    return folder


def open_bare(folder: Path, variant: str | None = None, dtype: torch.dtype = torch.float32) -> Any:
    """The folder as diffusers alone loads it on the CPU."""
    diffusers = importlib.import_module("diffusers")
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        str(folder), variant=variant, dtype=dtype, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def state_of(folder: Path, part: str) -> State:
    """The weights of one part of the folder, under diffusers' names."""
    state: State = {}
    for file in sorted((folder / part).glob("*.safetensors")):
        state.update(load_file(str(file)))
    return state

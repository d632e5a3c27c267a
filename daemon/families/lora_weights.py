"""The weights of a LoRA file as pairs of matrices, one pair a module of the model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from daemon.errors import RenderError
from daemon.loras import LoraFile
from daemon.loras.keys import Part, read_key
from daemon.loras.places import Place, Places

_PEFT = ("lora_A.weight", "lora_B.weight")
_TEXT = ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight")


Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Modules:
    """What LoRAs can change in one component of a pipeline: the places of its modules by the names
    that files use for them, and the shapes of their weights by their paths.

    `name` is the component's in the pipeline.
    """

    name: str
    places: Mapping[str, Places]
    shapes: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Layer:
    """What a LoRA adds to the weight (out, in, …) of one module: scale · up @ down.

    `down` is (rank, in, …) and `up` is (out, rank, …); `magnitude` is DoRA's, (out,).
    """

    component: str
    path: str
    down: torch.Tensor
    up: torch.Tensor
    scale: float
    magnitude: torch.Tensor | None

    def size_bytes(self, dtype: torch.dtype) -> int:
        """What the pair takes in this precision."""
        return (self.down.numel() + self.up.numel()) * dtype.itemsize

    def tensors(self, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """The layer as diffusers reads it, its scale multiplied into `up`."""
        name = f"{self.component}.{self.path}"
        up = self.up if self.scale == 1 else self.up.float() * self.scale
        # In text encoders diffusers takes peft's spelling only where attention is among it.
        spelling = _TEXT if self.component.startswith("text_encoder") else _PEFT
        pair = self.down.to(dtype), up.to(dtype)
        tensors = {
            f"{name}.{ending}": tensor for ending, tensor in zip(spelling, pair, strict=True)
        }
        if self.magnitude is not None:
            tensors[f"{name}.lora_magnitude_vector"] = self.magnitude.to(dtype)
        return tensors


def read_layers(file: LoraFile, data: bytes, model: Mapping[str, Modules]) -> list[Layer]:
    """The layers in the content of a file, for a model of these components (`keys.Key`).

    Raises RenderError when any of them is not for this model, half missing, or not finite.
    """
    tensors = _load(file, data)
    grouped = _grouped(file, tensors, model)
    config = _config(data)
    layers = [
        layer
        for (component, places), parts in grouped.items()
        for layer in _layers(file, model[component], places, parts, config)
    ]
    paths = [(layer.component, layer.path) for layer in layers]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise RenderError(
            f"the LoRA {file.path} changes {'.'.join(twice)} twice, under two names; fetch another "
            "version of it or send the job without it"
        )
    return layers


def _load(file: LoraFile, data: bytes) -> dict[str, torch.Tensor]:
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise RenderError(
            f"the LoRA {file.path} is damaged ({error}); fetch it again or send the job without it"
        ) from None


Parts = dict[Part, torch.Tensor]


def _grouped(
    file: LoraFile, tensors: dict[str, torch.Tensor], model: Mapping[str, Modules]
) -> dict[tuple[str, Places], Parts]:
    """The tensors by component and places. Raises RenderError if the model lacks any."""
    grouped: dict[tuple[str, Places], Parts] = {}
    strange = []
    for name, tensor in tensors.items():
        key = read_key(name)
        modules = model.get(key.component) if key else None
        places = modules.places.get(key.module) if key and modules else None
        if key is None or places is None:
            strange.append(name)
        else:
            grouped.setdefault((key.component, places), {})[key.part] = tensor
    if strange or not grouped:
        raise RenderError(
            f"the LoRA {file.path} is not for this model: {len(strange)} of its {len(tensors)} "
            f"keys name nothing in it, such as {min(strange, default='')[:200]!r}; send the job "
            "without it"
        )
    return grouped


def _layers(
    file: LoraFile, modules: Modules, places: Places, parts: Parts, config: Mapping[str, Any]
) -> list[Layer]:
    """The layers that one module of a file is; those of a fused one share its `down`."""
    component, first = modules.name, places[0].path
    down, up = parts.get(Part.DOWN), parts.get(Part.UP)
    if down is None or up is None:
        raise RenderError(
            f"the LoRA {file.path} has but half of {component}.{first}; fetch it again"
        )
    inner = modules.shapes[first][1:]
    outer = sum(end - begin for place in places for begin, end in place.rows)
    rank = down.shape[0] if down.ndim else 0
    ones = (1,) * (len(inner) - 1)
    if down.shape != (rank, *inner) or up.shape != (outer, rank, *ones) or not rank:
        raise RenderError(
            f"the LoRA {file.path} is not for this model: its pair for {component}.{first} has the "
            f"shapes {tuple(up.shape)} and {tuple(down.shape)}, for a weight of {(outer, *inner)}; "
            "send the job without it"
        )
    magnitude = parts.get(Part.MAGNITUDE)
    try:
        scale = _scale(parts.get(Part.ALPHA), _section(config, component), first, rank)
        is_finite = all(torch.isfinite(part).all() for part in parts.values())
        magnitude = magnitude if magnitude is None else magnitude.reshape(outer)
    except (TypeError, ValueError, RuntimeError):
        is_finite = False
    if not is_finite or not math.isfinite(scale):
        raise RenderError(
            f"the LoRA {file.path} has no finite numbers for {component}.{first}; fetch it again"
        )
    return [
        Layer(
            component,
            place.path,
            down,
            _rows(up, place),
            scale,
            None if magnitude is None else _rows(magnitude, place),
        )
        for place in places
    ]


def _rows(tensor: torch.Tensor, place: Place) -> torch.Tensor:
    """The rows of a file's module that are the place's."""
    if place.rows == ((0, tensor.shape[0]),):
        return tensor
    return torch.cat([tensor[begin:end] for begin, end in place.rows])


def _scale(alpha: torch.Tensor | None, config: Mapping[str, Any], path: str, rank: int) -> float:
    """alpha / rank, or alpha / sqrt(rank) of rsLoRA (arXiv:2312.03732); alpha is the rank if the
    file says nothing. Raises TypeError, ValueError or RuntimeError if it is no number."""
    if alpha is not None:
        return float(alpha.item()) / rank
    pattern = config.get("alpha_pattern") or {}
    by_path = {str(name).removeprefix("^"): value for name, value in dict(pattern).items()}
    if not config:
        return 1.0
    wanted = float(by_path.get(path, config.get("lora_alpha", rank)))
    return wanted / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _config(data: bytes) -> Mapping[str, Any]:
    """The part of the metadata in which diffusers keeps peft's settings; empty if there is none."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text = header.get("__metadata__", {}).get("lora_adapter_metadata", "{}")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _section(config: Mapping[str, Any], component: str) -> Mapping[str, Any]:
    prefix = f"{component}."
    return {
        name.removeprefix(prefix): value
        for name, value in config.items()
        if name.startswith(prefix)
    }

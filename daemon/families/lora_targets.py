"""Where LoRAs go in a pipeline: the modules that they can change, and getting them there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch

from daemon.errors import RenderError
from daemon.families.lora_weights import Modules
from daemon.families.pipelines import LoraPipeline
from daemon.loras.flow_names import flux_names, zimage_names
from daemon.loras.keys import NETWORK
from daemon.loras.places import Places, whole
from daemon.loras.sdxl_names import text_names, unet_names

_NETWORKS = ("unet", "transformer")
_TEXT_ENCODERS = ("text_encoder", "text_encoder_2")


def lora_targets(pipeline: LoraPipeline) -> dict[str, Modules]:
    """What LoRAs can change in a pipeline that has none yet, by component (`keys.Key`)."""
    targets = {}
    for name, part in _adaptable(pipeline):
        shapes = {path: shape for path, module in part.named_modules() if (shape := _shape(module))}
        rows = {path: shape[0] for path, shape in shapes.items()}
        component = NETWORK if name in _NETWORKS else name
        targets[component] = Modules(name, _places(part, rows), shapes)
    return targets


def _shape(module: torch.nn.Module) -> tuple[int, ...]:
    """The shape of the module's weight, or none if LoRAs cannot change it."""
    if isinstance(module, torch.nn.Linear):
        # Not the weight's own: quantised ones lie in bytes.
        return (module.out_features, module.in_features)
    return tuple(module.weight.shape) if isinstance(module, torch.nn.Conv2d) else ()


def _places(part: torch.nn.Module, rows: dict[str, int]) -> dict[str, Places]:
    match type(part).__name__:
        case "FluxTransformer2DModel" | "ChromaTransformer2DModel":
            return flux_names(rows)
        case "ZImageTransformer2DModel":
            return zimage_names(rows)
        case "UNet2DConditionModel":
            names = unet_names(rows, cast("Any", part).config.layers_per_block)
        case _:
            names = text_names(rows)
    return {name: whole(path, rows[path]) for name, path in names.items()}


def load_adapter(
    pipeline: LoraPipeline, name: str, path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    """Add an adapter of these tensors, in peft's spelling and with alphas equal to the ranks.

    It keeps their dtype: peft would give it that of the weights beside it, which may be float8.

    Raises RenderError naming `path` when diffusers or peft refuse; some modules may have it then.
    """
    try:
        pipeline.load_lora_weights(tensors, adapter_name=name)
        dtype = next(iter(tensors.values())).dtype
        for module in _adapter_modules(pipeline, name):
            module.to(dtype)
    except (torch.AcceleratorError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # Both libraries raise whatever fails first.
        reason = " ".join(str(error).split())[:300]
        raise RenderError(
            f"the LoRA {path} cannot be applied ({type(error).__name__}: {reason}); send the job "
            "without it"
        ) from error


def _adapter_modules(pipeline: LoraPipeline, name: str) -> Iterator[torch.nn.Module]:
    """What peft made for the adapter beside the model's own modules."""
    for _, part in _adaptable(pipeline):
        for path, module in part.named_modules():
            if path.endswith(f".{name}") and ".lora_" in path:
                yield module


def adapted_modules(pipeline: LoraPipeline, name: str) -> dict[str, set[str]]:
    """The paths of the modules that have the adapter `name`, by component."""
    return {
        component: {
            path for path, module in part.named_modules() if name in getattr(module, "lora_A", ())
        }
        for component, part in _adaptable(pipeline)
    }


def _adaptable(pipeline: LoraPipeline) -> list[tuple[str, torch.nn.Module]]:
    """The parts in which diffusers puts LoRAs: the network, and text encoders that are CLIP's."""
    parts = ((name, getattr(pipeline, name, None)) for name in (*_NETWORKS, *_TEXT_ENCODERS))
    return [
        (name, part)
        for name, part in parts
        if part is not None and (name in _NETWORKS or type(part).__name__.startswith("CLIP"))
    ]

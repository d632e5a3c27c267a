"""Where LoRAs go in a pipeline: the modules that they can change, and getting them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch

from daemon.errors import RenderError
from daemon.families.lora_weights import Modules
from daemon.families.pipelines import SdxlPipeline
from daemon.loras.sdxl_names import text_names, unet_names


def lora_targets(pipeline: SdxlPipeline) -> dict[str, Modules]:
    """What LoRAs can change in a pipeline that has none yet, by component."""
    layers_per_block = cast("Any", pipeline.unet).config.layers_per_block
    targets = {}
    for component, part in _adaptable(pipeline):
        shapes = {
            path: module.weight.shape
            for path, module in part.named_modules()
            if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
        }
        is_unet = component == "unet"
        names = unet_names(shapes, layers_per_block) if is_unet else text_names(shapes)
        targets[component] = Modules(names, shapes)
    return targets


def load_adapter(
    pipeline: SdxlPipeline, name: str, path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    """Add an adapter of these tensors, in peft's spelling and with alphas equal to the ranks.

    Raises RenderError naming `path` when diffusers or peft refuse; some modules may have it then.
    """
    try:
        pipeline.load_lora_weights(tensors, adapter_name=name)
    except (torch.AcceleratorError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # Both libraries raise whatever fails first.
        reason = " ".join(str(error).split())[:300]
        raise RenderError(
            f"the LoRA {path} cannot be applied ({type(error).__name__}: {reason}); send the job "
            "without it"
        ) from error


def adapted_modules(pipeline: SdxlPipeline, name: str) -> dict[str, set[str]]:
    """The paths of the modules that have the adapter `name`, by component."""
    return {
        component: {
            path for path, module in part.named_modules() if name in getattr(module, "lora_A", ())
        }
        for component, part in _adaptable(pipeline)
    }


def _adaptable(pipeline: SdxlPipeline) -> tuple[tuple[str, torch.nn.Module], ...]:
    names = ("unet", "text_encoder", "text_encoder_2")
    return tuple((name, getattr(pipeline, name)) for name in names)

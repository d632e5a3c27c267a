"""The offloading of diffusers, put on and taken off again.

Both kinds hook themselves into the modules and stack up where they are not taken off: neither
knows how to replace the other, and diffusers takes off only the one that comes from accelerate.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch

from daemon import libraries

VAE = "vae"
"""The component that is left alone: it moves by itself (see `Autoencoder`)."""

CPU = torch.device("cpu")

_GROUP_HOOKS = ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading")
"""The names of the hooks that `apply_group_offloading` makes; diffusers has no function for it."""


def components(pipeline: Any) -> dict[str, torch.nn.Module]:
    """The networks of a pipeline by their names."""
    return {
        name: part
        for name, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module)
    }


def offload_networks(pipeline: Any, device: torch.device) -> None:
    """From now on each network goes to `device` when it is called, and the one before it leaves.

    `release` sends the last one back.
    """
    # There is no other way to say it; the class has an empty list.
    pipeline._exclude_from_cpu_offload = [VAE]  # noqa: SLF001
    pipeline.enable_model_cpu_offload(device=device)


def release(pipeline: Any) -> None:
    """Send back what `offload_networks` left on the device; nothing where it is not in force."""
    pipeline.maybe_free_model_hooks()


def offload_layers(pipeline: Any, device: torch.device) -> None:
    """From now on each layer goes to `device` for its own computation only.

    On CUDA the next one is fetched meanwhile, on a stream of its own, from memory that is pinned
    once: that takes as much of the host's memory as the networks have, and cannot be swapped out.
    """
    libraries.diffusers()
    hooks: Any = importlib.import_module("diffusers.hooks")
    for name, module in components(pipeline).items():
        if name != VAE:
            hooks.apply_group_offloading(
                module,
                onload_device=device,
                offload_device=CPU,
                offload_type="leaf_level",
                use_stream=device.type == "cuda",
            )


def bring_home(pipeline: Any) -> None:
    """Take all hooks of offloading off, whatever state they are in, and move all to the host."""
    pipeline.remove_all_hooks()
    for module in components(pipeline).values():
        _remove_group_hooks(module)
        module.to(CPU)


def _remove_group_hooks(module: torch.nn.Module) -> None:
    hooks: Any = importlib.import_module("diffusers.hooks")
    registry = hooks.HookRegistry.check_if_exists_or_initialize(module)
    for name in _GROUP_HOOKS:
        registry.remove_hook(name, recurse=True)

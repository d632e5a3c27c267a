"""One part of a model from a configuration and tensors: all of it, or a line that says why not."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import torch

from daemon import libraries
from daemon.weights.contents import Contents, Part, Precision
from daemon.weights.conversion import Tensors, convert
from daemon.weights.headers import WeightsError
from daemon.weights.scaled import dequantized

_SHOWN = 3
_TIED = {
    "T5EncoderModel": {"encoder.embed_tokens.weight": "shared.weight"},
    "Qwen3ForCausalLM": {"lm_head.weight": "model.embed_tokens.weight"},
}
"""Tensors that are another one by another name, and left out of most files."""


def read_part(contents: Contents, part: Part, dtype: torch.dtype) -> Tensors:
    """The tensors of one part of a safetensors file, its prefix removed.

    Scaled fp8 is restored in `dtype`; all others are as the file has them, and lie in its pages.
    """
    prefix, header = contents.parts[part], contents.header
    safetensors: Any = importlib.import_module("safetensors")
    with safetensors.safe_open(header.path, framework="pt") as file:
        tensors = {name: file.get_tensor(prefix + name) for name in contents.names(part)}
    if contents.precision(part) is Precision.SCALED_FP8:
        return dequantized(tensors, header.metadata, header.path, dtype)
    return tensors


def build(
    contents: Contents,
    part: Part,
    class_name: str,
    config: Mapping[str, Any],
    dtype: torch.dtype,
    *,
    mapped: bool = False,
) -> torch.nn.Module:
    """One part as the module `class_name` in `dtype`, on the CPU, every tensor from the file.

    `mapped` leaves tensors of that dtype in the file's pages, which costs no memory but is safe
    only until they are moved to a GPU. Raises WeightsError naming tensors that are missing,
    unexpected, or of another shape.
    """
    path = contents.header.path
    module = empty_module(class_name, config)
    expected = module.state_dict()
    tensors = read_part(contents, part, dtype)
    if not tensors.keys() <= expected.keys():
        tensors = convert(part, class_name, tensors, config, path)
    tied = _tie(class_name, tensors)
    _compare(path, class_name, expected, tensors)
    state = _cast(tensors, dtype, mapped=mapped)
    state |= {name: state[source] for name, source in tied.items()}
    module.load_state_dict(state, strict=True, assign=True)
    module.eval()
    module.requires_grad_(requires_grad=False)
    return module


def _tie(class_name: str, tensors: Tensors) -> dict[str, str]:
    """Fill in the names of tensors that are others by another name: each with the one it is."""
    tied = {}
    for one, other in _TIED.get(class_name, {}).items():
        for name, source in ((one, other), (other, one)):
            if name not in tensors and source in tensors:
                tensors[name] = tensors[source]
                tied[name] = source
    return tied


def _cast(tensors: Tensors, dtype: torch.dtype, *, mapped: bool) -> Tensors:
    """The tensors in `dtype`, in memory of our own unless `mapped`; `tensors` is emptied.

    What stays in the file's pages ends the daemon (SIGBUS) when the file is cut short or its
    server goes away; and sums of numbers that lie otherwise in memory round otherwise.
    """
    return {name: tensors.pop(name).to(dtype, copy=not mapped) for name in list(tensors)}


def empty_module(class_name: str, config: Mapping[str, Any]) -> torch.nn.Module:
    """The module without memory for its weights, its buffers real."""
    accelerate: Any = importlib.import_module("accelerate")
    transformers = libraries.transformers()
    diffusers = libraries.diffusers()
    with accelerate.init_empty_weights(include_buffers=False):
        if hasattr(diffusers, class_name):
            module: torch.nn.Module = getattr(diffusers, class_name).from_config(dict(config))
        else:
            module_class = getattr(transformers, class_name)
            module = module_class(module_class.config_class(**config))
    return module


def compare_names(
    path: Path, class_name: str, expected: AbstractSet[str], found: AbstractSet[str]
) -> None:
    """Raise WeightsError naming tensors that are missing from the file, or too many in it."""
    missing, unexpected = sorted(expected - found), sorted(found - expected)
    faults = [
        f"{len(names)} tensors {what}, such as {', '.join(names[:_SHOWN])}"
        for names, what in ((missing, "are missing"), (unexpected, "are not of it"))
        if names
    ]
    if faults:
        raise _unlike(path, class_name, "; ".join(faults))


def _compare(path: Path, class_name: str, expected: Tensors, found: Tensors) -> None:
    compare_names(path, class_name, expected.keys(), found.keys())
    for name, value in found.items():
        have, want = tuple(value.shape), tuple(expected[name].shape)
        if have != want:
            raise _unlike(
                path, class_name, f"{name} has shape {have}, the configuration wants {want}"
            )
        if not value.dtype.is_floating_point:
            raise WeightsError(
                f"{path}: {name} holds whole numbers ({value.dtype}), a quantisation that genzo "
                "does not know; fetch the model in float16 or bfloat16"
            )


def _unlike(path: Path, class_name: str, how: str) -> WeightsError:
    return WeightsError(
        f"{path}: is not the {class_name} of its configuration: {how}; name the model's own "
        "configuration with `config`, or fetch the file again"
    )

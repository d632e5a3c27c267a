"""GGUF: networks whose weights stay quantised in memory and are restored layer by layer.

diffusers has the layers; how it gets there from a file is written for the widths of the real
models, so the names are converted here as for any other file.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch

from daemon import libraries
from daemon.weights.contents import Contents, Part
from daemon.weights.conversion import Tensors, convert
from daemon.weights.headers import WeightsError
from daemon.weights.networks import compare_names, empty_module


def build_quantised(
    contents: Contents, part: Part, class_name: str, config: Mapping[str, Any], dtype: torch.dtype
) -> torch.nn.Module:
    """One part of a GGUF file as the module `class_name` that computes in `dtype`, on the CPU.

    Raises WeightsError naming tensors that are missing, unexpected, or of another shape.
    """
    diffusers = libraries.diffusers()
    loading: Any = importlib.import_module("diffusers.models.model_loading_utils")
    quantizers: Any = importlib.import_module("diffusers.quantizers")
    path, prefix = contents.header.path, contents.parts[part]
    checkpoint = loading.load_gguf_checkpoint(str(path))
    tensors = {name: checkpoint[prefix + name] for name in contents.names(part)}
    module = empty_module(class_name, config)
    expected = module.state_dict()
    if not tensors.keys() <= expected.keys():
        tensors = convert(part, class_name, tensors, config, path)
    compare_names(path, class_name, expected.keys(), tensors.keys())
    _restore_others(module, tensors, dtype)
    quantizer = quantizers.DiffusersAutoQuantizer.from_config(
        diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
    )
    quantizer.preprocess_model(
        model=module, device_map=None, state_dict=tensors, keep_in_fp32_modules=[]
    )
    try:
        loading.load_model_dict_into_meta(
            module,
            tensors,
            dtype=dtype,
            device_map={"": torch.device("cpu")},
            hf_quantizer=quantizer,
            keep_in_fp32_modules=[],
            unexpected_keys=[],
        )
    except ValueError as error:
        raise WeightsError(
            f"{path}: is not the {class_name} of its configuration: {' '.join(str(error).split())}"[
                :400
            ]
            + "; name the model's own configuration with `config`"
        ) from None
    quantizer.postprocess_model(module)
    module.eval()
    return module


def _restore_others(module: torch.nn.Module, tensors: Tensors, dtype: torch.dtype) -> None:
    """Restore what is quantised but belongs to no layer that could do it, as Z-Image's padding.

    Files also drop sides of length one; those come back.
    """
    utils: Any = importlib.import_module("diffusers.quantizers.gguf.utils")
    layers = (path for path, it in module.named_modules() if isinstance(it, torch.nn.Linear))
    layered = {f"{path}.weight" for path in layers}
    for name, wanted in module.state_dict().items():
        value = tensors[name]
        if name in layered:
            continue
        if isinstance(value, utils.GGUFParameter):
            value = utils.dequantize_gguf_tensor(value).to(dtype)
        if value.numel() == wanted.numel():
            value = value.reshape(wanted.shape)
        tensors[name] = value

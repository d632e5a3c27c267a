"""A pipeline from the files that a person has: one checkpoint, or a network and its companions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from daemon import libraries
from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.weights.contents import Contents, Part, Precision, contents_of
from daemon.weights.headers import WeightsError, read_header
from daemon.weights.layouts import (
    LAYOUTS,
    Component,
    Layout,
    config_of,
    folder_component,
    inspect,
)
from daemon.weights.networks import build
from daemon.weights.quantised import build_quantised
from daemon.weights.sharing import SHARED, Kind, text_encoders
from daemon.weights.sizes import weights_files
from daemon.weights.tokenizers import open_tokenizer

Dtypes = dict[str, torch.dtype]
"""The dtype of each component, by its name; `default` is that of the others."""


def assemble(spec: ModelSpec, dtypes: Dtypes, *, mapped: bool = False) -> Any:
    """The family's pipeline from the file `spec.weights` and what the spec names beside it.

    On the CPU, each component in its dtype; `mapped` as for `networks.build`. Raises ModelError in
    one line that names the file that is missing or wrong.
    """
    layout = LAYOUTS[spec.family]
    contents = inspect(spec)
    modules = {
        component.name: _component(spec, contents, component, dtypes, mapped=mapped)
        for component in layout.components
    }
    parts: dict[str, Any] = {**modules, **_tokenizers(spec, layout, modules)}
    parts["scheduler"] = _scheduler(spec, contents)
    diffusers = libraries.diffusers()
    if spec.family == "sdxl":
        parts["add_watermarker"] = False
    return getattr(diffusers, layout.pipeline)(**parts)


def _component(
    spec: ModelSpec, contents: Contents, component: Component, dtypes: Dtypes, *, mapped: bool
) -> torch.nn.Module:
    dtype = dtypes.get(component.name, dtypes["default"])
    named: Path | None = getattr(spec, component.setting) if component.setting else None
    if named is not None and named.is_dir():
        return _from_folder(spec, named, component, dtype)
    source = contents
    if named is not None:
        source = _as_second_clip(contents_of(read_header(named)), component)
        if component.part not in source.parts:
            raise WeightsError(
                f"{named}: holds {', '.join(source.parts)}, not the {component.part} that model "
                f"{spec.name} needs as `{component.setting}`"
            )
    elif component.part not in contents.parts:
        raise ModelError(
            f"model {spec.name}: {spec.weights} holds no {component.part}; name a file or a "
            f"diffusers folder that has it as `{component.setting}`"
        )
    config = config_of(spec, contents, component.name)
    if component.part in SHARED:
        kind = Kind.of(component.class_name, dtype, config)
        return text_encoders.get(
            kind,
            [source.header.path],
            lambda: _built(source, component, config, dtype, mapped=mapped),
        )
    return _built(source, component, config, dtype, mapped=mapped)


def _built(
    source: Contents,
    component: Component,
    config: dict[str, Any],
    dtype: torch.dtype,
    *,
    mapped: bool,
) -> torch.nn.Module:
    arguments = (source, component.part, component.class_name, config, dtype)
    precision = source.precision(component.part)
    if precision is Precision.GGUF:
        return build_quantised(*arguments)
    module = build(*arguments, mapped=mapped)
    if precision is Precision.FP8 and component.part is Part.NETWORK:
        # It was eight bits wide, and loses nothing by staying so between its layers' turns.
        network: Any = module
        network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
    return module


def _as_second_clip(contents: Contents, component: Component) -> Contents:
    # Under transformers' names both CLIP encoders look alike; their shapes tell when they load.
    if component.part is Part.CLIP_G and Part.CLIP_L in contents.parts:
        return replace(contents, parts={Part.CLIP_G: contents.parts[Part.CLIP_L]})
    return contents


def _from_folder(
    spec: ModelSpec, folder: Path, component: Component, dtype: torch.dtype
) -> torch.nn.Module:
    found = folder_component(folder, component.name)
    if found is None:
        raise ModelError(
            f"model {spec.name}: {folder} holds no {component.name}/config.json; name a diffusers "
            f"folder or a file as `{component.setting}`"
        )
    if component.part not in SHARED:
        return _opened(spec, found, component, dtype)
    kind = Kind.in_folder(found, component.class_name, dtype)
    files = weights_files(found)
    return text_encoders.get(kind, files, lambda: _opened(spec, found, component, dtype))


def _opened(
    spec: ModelSpec, found: Path, component: Component, dtype: torch.dtype
) -> torch.nn.Module:
    module_class = _class(component.class_name)
    try:
        module: torch.nn.Module = module_class.from_pretrained(
            str(found), dtype=dtype, local_files_only=True, use_safetensors=True
        )
    except Exception as error:
        # Whatever the library at fault raises.
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {spec.name}: cannot load {found} ({type(error).__name__}: {reason})"
        ) from error
    return module


def _tokenizers(spec: ModelSpec, layout: Layout, modules: dict[str, Any]) -> dict[str, Any]:
    tokenizers = {}
    for tokenizer in layout.tokenizers:
        encoder = modules[tokenizer.name.replace("tokenizer", "text_encoder")]
        rows = encoder.get_input_embeddings().weight.shape[0]
        tokenizers[tokenizer.name] = open_tokenizer(spec, tokenizer, rows)
    return tokenizers


def _scheduler(spec: ModelSpec, contents: Contents) -> Any:
    config = config_of(spec, contents, "scheduler")
    return _class(config["_class_name"]).from_config(config)


def _class(name: str) -> Any:
    diffusers = libraries.diffusers()
    transformers = libraries.transformers()
    return getattr(diffusers, name, None) or getattr(transformers, name)

"""From the names that a model's authors, or ComfyUI, gave its tensors to those of diffusers.

The networks and the VAE go through diffusers' own conversions. Those drop what they do not know
without a word, so what comes out is weighed against what went in. The two CLIP encoders are
renamed here: the library's way builds the encoder as it goes and reports nothing that is missing.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from daemon import libraries
from daemon.weights.bfl import from_bfl
from daemon.weights.contents import Part
from daemon.weights.headers import WeightsError

Tensors = dict[str, torch.Tensor]

_CLIP_G_LAYER = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
_CLIP_G_NAMES = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_CLIP_G_EMBEDDINGS = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_OF_BFL = frozenset({"FluxTransformer2DModel", "ChromaTransformer2DModel"})
_UNUSED = {"ZImageTransformer2DModel": ("norm_final.weight",)}
"""Tensors of the originals that the model never reads."""
_WANTED_PREFIXES = {"UNet2DConditionModel": "model.diffusion_model."}
_NOT_WEIGHTS = ("position_ids", "logit_scale")
"""Ends of names that encoders carry along and nothing needs."""
_OTHER_HALVES = {
    # Training's own measure of the pictures, and its running averages.
    Part.VAE: ("loss.", "model_ema."),
    # What sees pictures, in files of the whole of CLIP.
    Part.CLIP_L: ("vision_model.", "visual_projection.", "text_projection."),
    Part.CLIP_G: ("vision_model.", "visual_projection."),
    # What writes text, and a tokenizer that some lay in beside it.
    Part.T5: ("decoder.", "lm_head.", "spiece_model"),
}
"""Beginnings of names in whole files of which we take a part."""
_OLD_ATTENTION = (
    (".query.", ".to_q."),
    (".key.", ".to_k."),
    (".value.", ".to_v."),
    (".proj_attn.", ".to_out.0."),
)
"""How diffusers named the attention of its VAE until 2023, in files that are still around."""


def convert(
    part: Part, class_name: str, tensors: Tensors, config: Mapping[str, Any], path: Path
) -> Tensors:
    """The tensors of one part, prefix removed, under the names of diffusers' `class_name`.

    Raises WeightsError naming `path` and some tensors that belong to no such part.
    """
    others = _OTHER_HALVES.get(part, ())
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.endswith(_NOT_WEIGHTS) and not name.startswith(others)
    }
    if part in _ENCODERS:
        return _ENCODERS[part](tensors)
    if part is Part.VAE and "decoder.mid_block.attentions.0.group_norm.weight" in tensors:
        return {_new_attention(name): value for name, value in tensors.items()}
    if class_name in _OF_BFL:
        return from_bfl(tensors)
    for name in _UNUSED.get(class_name, ()):
        tensors.pop(name, None)
    return _by_diffusers(class_name, tensors, config, path)


def _clip_l(tensors: Tensors) -> Tensors:
    return {name.removeprefix("text_model."): value for name, value in tensors.items()}


def _qwen3(tensors: Tensors) -> Tensors:
    whole = ("model.", "lm_head.")
    return {n if n.startswith(whole) else f"model.{n}": value for n, value in tensors.items()}


def _clip_g(tensors: Tensors) -> Tensors:
    """OpenCLIP's names, or transformers' own, to those of CLIPTextModelWithProjection."""
    if "token_embedding.weight" not in tensors:
        return tensors
    converted: Tensors = {}
    for name, value in tensors.items():
        if name in _CLIP_G_EMBEDDINGS:
            converted[f"text_model.{_CLIP_G_EMBEDDINGS[name]}"] = value
        elif name == "text_projection":
            converted["text_projection.weight"] = value.T.contiguous()
        elif match := _CLIP_G_LAYER.fullmatch(name):
            layer = f"text_model.encoder.layers.{match[1]}"
            converted |= {f"{layer}.{n}": v for n, v in _clip_g_layer(match[2], value).items()}
        else:
            converted[name] = value  # no name that the encoder has: the load tells
    return converted


def _clip_g_layer(name: str, value: torch.Tensor) -> Tensors:
    if name.startswith("attn.in_proj_"):
        kind = name.removeprefix("attn.in_proj_")
        parts = zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True)
        return {f"self_attn.{part}.{kind}": chunk for part, chunk in parts}
    stem, _, kind = name.rpartition(".")
    return {f"{_CLIP_G_NAMES.get(stem, stem)}.{kind}": value}


_ENCODERS: dict[Part, Callable[[Tensors], Tensors]] = {
    Part.CLIP_L: _clip_l,
    Part.CLIP_G: _clip_g,
    Part.T5: dict,
    Part.QWEN3: _qwen3,
}


def _new_attention(name: str) -> str:
    for old, new in _OLD_ATTENTION if ".attentions." in name else ():
        name = name.replace(old, new)
    return name


def _by_diffusers(
    class_name: str, tensors: Tensors, config: Mapping[str, Any], path: Path
) -> Tensors:
    libraries.diffusers()
    loaders: Any = importlib.import_module("diffusers.loaders.single_file_model")
    mapping: Callable[..., Tensors] = loaders.SINGLE_FILE_LOADABLE_CLASSES[class_name][
        "checkpoint_mapping_fn"
    ]
    before = {value.untyped_storage().data_ptr(): name for name, value in tensors.items()}
    elements = sum(value.numel() for value in tensors.values())
    prefix = _WANTED_PREFIXES.get(class_name, "")
    try:
        prefixed = {prefix + name: value for name, value in tensors.items()}
        converted = dict(mapping(checkpoint=prefixed, config=dict(config)))
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: its tensors are not those of a {class_name} "
            f"({type(error).__name__}: {error}); the file is incomplete, or of another model"
        ) from None
    if sum(value.numel() for value in converted.values()) != elements:
        for value in converted.values():
            before.pop(value.untyped_storage().data_ptr(), None)
        unknown = ", ".join(sorted(before.values())[:3])
        raise WeightsError(
            f"{path}: holds {len(before)} tensors that a {class_name} has not, such as {unknown}; "
            "it is of another model, or of a variant that genzo does not know"
        )
    return converted

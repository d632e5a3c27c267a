"""Black Forest Labs' names for the transformers of FLUX.1, and Chroma's, to those of diffusers.

diffusers' own conversion has the width of the real models written into it; this one takes widths
from the tensors. Projections that the originals fuse are split, and the last modulation, which is
(shift, scale) in the original, becomes (scale, shift).
"""

from __future__ import annotations

import re

import torch

_RENAMED = (
    (r"time_in\.in_layer", "time_text_embed.timestep_embedder.linear_1"),
    (r"time_in\.out_layer", "time_text_embed.timestep_embedder.linear_2"),
    (r"vector_in\.in_layer", "time_text_embed.text_embedder.linear_1"),
    (r"vector_in\.out_layer", "time_text_embed.text_embedder.linear_2"),
    (r"guidance_in\.in_layer", "time_text_embed.guidance_embedder.linear_1"),
    (r"guidance_in\.out_layer", "time_text_embed.guidance_embedder.linear_2"),
    (r"txt_in", "context_embedder"),
    (r"img_in", "x_embedder"),
    (r"final_layer\.linear", "proj_out"),
    (r"final_layer\.adaLN_modulation\.1", "norm_out.linear"),
    (r"double_blocks\.(\d+)\.img_mod\.lin", r"transformer_blocks.\1.norm1.linear"),
    (r"double_blocks\.(\d+)\.txt_mod\.lin", r"transformer_blocks.\1.norm1_context.linear"),
    (r"double_blocks\.(\d+)\.img_attn\.proj", r"transformer_blocks.\1.attn.to_out.0"),
    (r"double_blocks\.(\d+)\.txt_attn\.proj", r"transformer_blocks.\1.attn.to_add_out"),
    (r"double_blocks\.(\d+)\.img_mlp\.0", r"transformer_blocks.\1.ff.net.0.proj"),
    (r"double_blocks\.(\d+)\.img_mlp\.2", r"transformer_blocks.\1.ff.net.2"),
    (r"double_blocks\.(\d+)\.txt_mlp\.0", r"transformer_blocks.\1.ff_context.net.0.proj"),
    (r"double_blocks\.(\d+)\.txt_mlp\.2", r"transformer_blocks.\1.ff_context.net.2"),
    (r"single_blocks\.(\d+)\.modulation\.lin", r"single_transformer_blocks.\1.norm.linear"),
    (r"single_blocks\.(\d+)\.linear2", r"single_transformer_blocks.\1.proj_out"),
    (r"distilled_guidance_layer\.layers\.(\d+)\.in_layer",
     r"distilled_guidance_layer.layers.\1.linear_1"),
    (r"distilled_guidance_layer\.layers\.(\d+)\.out_layer",
     r"distilled_guidance_layer.layers.\1.linear_2"),
    (r"distilled_guidance_layer\.(in_proj|out_proj)", r"distilled_guidance_layer.\1"),
)  # fmt: skip
_SCALES = (
    (r"double_blocks\.(\d+)\.img_attn\.norm\.query_norm", r"transformer_blocks.\1.attn.norm_q"),
    (r"double_blocks\.(\d+)\.img_attn\.norm\.key_norm", r"transformer_blocks.\1.attn.norm_k"),
    (r"double_blocks\.(\d+)\.txt_attn\.norm\.query_norm",
     r"transformer_blocks.\1.attn.norm_added_q"),
    (r"double_blocks\.(\d+)\.txt_attn\.norm\.key_norm",
     r"transformer_blocks.\1.attn.norm_added_k"),
    (r"single_blocks\.(\d+)\.norm\.query_norm", r"single_transformer_blocks.\1.attn.norm_q"),
    (r"single_blocks\.(\d+)\.norm\.key_norm", r"single_transformer_blocks.\1.attn.norm_k"),
    (r"distilled_guidance_layer\.norms\.(\d+)", r"distilled_guidance_layer.norms.\1"),
)  # fmt: skip
_RULES = tuple(
    [(re.compile(rf"{old}\.(?P<kind>weight|bias)"), new, "kind") for old, new in _RENAMED]
    + [(re.compile(rf"{old}\.scale"), new, "weight") for old, new in _SCALES]
)
_QKV = re.compile(r"double_blocks\.(\d+)\.(img|txt)_attn\.qkv\.(weight|bias)")
_QKV_NAMES = {
    "img": ("to_q", "to_k", "to_v"),
    "txt": ("add_q_proj", "add_k_proj", "add_v_proj"),
}
_LINEAR1 = re.compile(r"single_blocks\.(\d+)\.linear1\.(weight|bias)")


def from_bfl(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under diffusers' names; a name that is not BFL's stays as it is."""
    converted: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if match := _QKV.fullmatch(name):
            block = f"transformer_blocks.{match[1]}.attn"
            for part, chunk in zip(_QKV_NAMES[match[2]], value.chunk(3), strict=True):
                converted[f"{block}.{part}.{match[3]}"] = chunk
        elif match := _LINEAR1.fullmatch(name):
            converted |= _linear1(match[1], match[2], value, tensors)
        else:
            renamed = _renamed(name)
            swaps = renamed.startswith("norm_out.linear.")
            # A list, since quantised tensors look for their kind in lists only.
            converted[renamed] = torch.cat([*reversed(value.chunk(2))]) if swaps else value
    return converted


def _linear1(
    block: str, kind: str, value: torch.Tensor, tensors: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    # linear2 leads back to the hidden width; three times that is q, k and v, the rest the MLP.
    width = tensors[f"single_blocks.{block}.linear2.weight"].shape[0]
    names = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
    sizes = [width, width, width, value.shape[0] - 3 * width]
    prefix = f"single_transformer_blocks.{block}"
    return {
        f"{prefix}.{name}.{kind}": chunk
        for name, chunk in zip(names, torch.split(value, sizes), strict=True)
    }


def _renamed(name: str) -> str:
    for pattern, new, ending in _RULES:
        match = pattern.fullmatch(name)
        if match:
            kind = match["kind"] if ending == "kind" else ending
            return f"{match.expand(new)}.{kind}"
    return name

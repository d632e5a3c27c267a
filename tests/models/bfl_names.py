"""Black Forest Labs' names for the transformers of Flux and Chroma.

The two functions undo diffusers' `convert_flux_transformer_checkpoint_to_diffusers` and
`convert_chroma_transformer_checkpoint_to_diffusers`.
"""

from __future__ import annotations

import torch

from tests.models.folders import State
from tests.models.renaming import Rule, rename

_FUSED = (
    # Names of the parts, in order, and of the whole; per block.
    (("attn.to_q", "attn.to_k", "attn.to_v"), "transformer_blocks", "img_attn.qkv"),
    (
        ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
        "transformer_blocks",
        "txt_attn.qkv",
    ),
    (
        ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
        "single_transformer_blocks",
        "linear1",
    ),
)
_SINGLE: tuple[Rule, ...] = (
    (r"^(single_transformer_blocks\.\d+)\.norm\.linear", r"\1.modulation.lin"),
    (r"^(single_transformer_blocks\.\d+)\.attn\.norm_q\.weight", r"\1.norm.query_norm.scale"),
    (r"^(single_transformer_blocks\.\d+)\.attn\.norm_k\.weight", r"\1.norm.key_norm.scale"),
    (r"^(single_transformer_blocks\.\d+)\.proj_out", r"\1.linear2"),
    (r"^single_transformer_blocks", "single_blocks"),
)
_DOUBLE: tuple[Rule, ...] = (
    (r"\.norm1\.linear", ".img_mod.lin"),
    (r"\.norm1_context\.linear", ".txt_mod.lin"),
    (r"\.attn\.norm_q\.weight", ".img_attn.norm.query_norm.scale"),
    (r"\.attn\.norm_k\.weight", ".img_attn.norm.key_norm.scale"),
    (r"\.attn\.norm_added_q\.weight", ".txt_attn.norm.query_norm.scale"),
    (r"\.attn\.norm_added_k\.weight", ".txt_attn.norm.key_norm.scale"),
    (r"\.attn\.to_out\.0", ".img_attn.proj"),
    (r"\.attn\.to_add_out", ".txt_attn.proj"),
    (r"\.ff\.net\.0\.proj", ".img_mlp.0"),
    (r"\.ff\.net\.2", ".img_mlp.2"),
    (r"\.ff_context\.net\.0\.proj", ".txt_mlp.0"),
    (r"\.ff_context\.net\.2", ".txt_mlp.2"),
    (r"^transformer_blocks", "double_blocks"),
)
_ENDS: tuple[Rule, ...] = (
    (r"^time_text_embed\.timestep_embedder", "time_in"),
    (r"^time_text_embed\.text_embedder", "vector_in"),
    (r"^time_text_embed\.guidance_embedder", "guidance_in"),
    (r"^(\w+_in)\.linear_1", r"\1.in_layer"),
    (r"^(\w+_in)\.linear_2", r"\1.out_layer"),
    (r"^context_embedder", "txt_in"),
    (r"^x_embedder", "img_in"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
)
_APPROXIMATOR: tuple[Rule, ...] = (
    (r"^(distilled_guidance_layer\.layers\.\d+)\.linear_1", r"\1.in_layer"),
    (r"^(distilled_guidance_layer\.layers\.\d+)\.linear_2", r"\1.out_layer"),
    (r"^(distilled_guidance_layer\.norms\.\d+)\.weight", r"\1.scale"),
)


def flux_to_bfl(state: State) -> State:
    """A FluxTransformer2DModel's tensors under the names of `flux1-dev.safetensors`."""
    renamed = rename(_fused(state), (*_SINGLE, *_DOUBLE, *_ENDS))
    for name in [name for name in renamed if name.startswith("final_layer.adaLN")]:
        # diffusers keeps the scale before the shift.
        renamed[name] = torch.cat(renamed[name].chunk(2)[::-1])
    return renamed


def chroma_to_bfl(state: State) -> State:
    """A ChromaTransformer2DModel's tensors under the names of Chroma's own files."""
    return rename(_fused(state), (*_APPROXIMATOR, *_SINGLE, *_DOUBLE, *_ENDS))


def _fused(state: State) -> State:
    fused = dict(state)
    for parts, blocks, whole in _FUSED:
        first = f".{parts[0]}."
        for name in [name for name in fused if name.startswith(blocks) and first in name]:
            block, kind = name.split(first)
            tensors = [fused.pop(f"{block}.{part}.{kind}") for part in parts]
            fused[f"{block}.{whole}.{kind}"] = torch.cat(tensors)
    return fused

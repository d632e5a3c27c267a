"""Stability's names for SDXL: UNet, autoencoder and both text encoders.

Each function undoes one of diffusers' `convert_ldm_*`, `convert_open_clip_checkpoint`.
"""

from __future__ import annotations

import re

import torch

from tests.models.folders import State
from tests.models.renaming import Rule, rename

_RESNET: tuple[Rule, ...] = (
    (r"\.norm1\.", ".in_layers.0."),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.norm2\.", ".out_layers.0."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.conv_shortcut\.", ".skip_connection."),
)
_UNET_ENDS: tuple[Rule, ...] = (
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^add_embedding\.linear_1", "label_emb.0.0"),
    (r"^add_embedding\.linear_2", "label_emb.0.2"),
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^conv_norm_out\.", "out.0."),
    (r"^conv_out\.", "out.2."),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
)
_CLIP_G: tuple[Rule, ...] = (
    (r"^text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^text_model\.embeddings\.", ""),
    (r"^text_model\.final_layer_norm", "ln_final"),
    (r"^text_model\.encoder\.layers", "transformer.resblocks"),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.self_attn\.", ".attn."),
    (r"\.mlp\.fc1", ".mlp.c_fc"),
    (r"\.mlp\.fc2", ".mlp.c_proj"),
)


def unet_to_ldm(state: State, layers_per_block: int = 2) -> State:
    """A UNet2DConditionModel's tensors under the names of `model.diffusion_model.`."""
    of_resnets = {name: tensor for name, tensor in state.items() if ".resnets." in name}
    others = {name: tensor for name, tensor in state.items() if ".resnets." not in name}
    blocks = _block_rules(layers_per_block + 1, {name.split(".attentions.")[0] for name in others})
    rules = (*blocks, *_UNET_ENDS)
    return rename(others, rules) | rename(of_resnets, (*_RESNET, *rules))


def _block_rules(stride: int, with_attention: set[str]) -> tuple[Rule, ...]:
    """Where a level's layers, its way down and its way up stand in the two flat lists."""

    def upsampler(match: re.Match[str]) -> str:
        level = int(match[1])
        place = 2 if f"up_blocks.{level}" in with_attention else 1
        return f"output_blocks.{level * stride + stride - 1}.{place}.conv"

    def numbered(kind: str, first: int, place: int) -> Rule:
        blocks = "input_blocks" if kind == "down" else "output_blocks"
        layer = "resnets" if place == 0 else "attentions"
        return (
            rf"^{kind}_blocks\.(\d+)\.{layer}\.(\d+)",
            lambda m: f"{blocks}.{first + int(m[1]) * stride + int(m[2])}.{place}",
        )

    return (
        numbered("down", 1, 0),
        numbered("down", 1, 1),
        numbered("up", 0, 0),
        numbered("up", 0, 1),
        (
            r"^down_blocks\.(\d+)\.downsamplers\.0\.conv",
            lambda m: f"input_blocks.{(int(m[1]) + 1) * stride}.0.op",
        ),
        (r"^up_blocks\.(\d+)\.upsamplers\.0\.conv", upsampler),
    )


def vae_to_ldm(state: State, levels: int = 4) -> State:
    """An AutoencoderKL's tensors under the names of `first_stage_model.` and of `ae.safetensors`.

    Its attention was made of 1x1 convolutions.
    """
    rules: tuple[Rule, ...] = (
        (r"\.down_blocks\.(\d+)\.resnets\.", r".down.\1.block."),
        (r"\.down_blocks\.(\d+)\.downsamplers\.0\.", r".down.\1.downsample."),
        (r"\.up_blocks\.(\d+)\.resnets\.", lambda m: f".up.{levels - 1 - int(m[1])}.block."),
        (
            r"\.up_blocks\.(\d+)\.upsamplers\.0\.",
            lambda m: f".up.{levels - 1 - int(m[1])}.upsample.",
        ),
        (r"\.mid_block\.resnets\.(\d)", lambda m: f".mid.block_{int(m[1]) + 1}"),
        (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
        (r"\.attn_1\.group_norm", ".attn_1.norm"),
        (r"\.attn_1\.to_([qkv])", r".attn_1.\1"),
        (r"\.attn_1\.to_out\.0", ".attn_1.proj_out"),
        (r"\.conv_shortcut", ".nin_shortcut"),
        (r"\.conv_norm_out", ".norm_out"),
    )
    return {
        name: tensor[:, :, None, None] if ".attn_1." in name and tensor.dim() == 2 else tensor
        for name, tensor in rename(state, rules).items()
    }


def clip_l_to_ldm(state: State) -> State:
    """CLIP-L's tensors as every published file names them.

    transformers 5 took `text_model.` away from a CLIPTextModel.
    """
    return rename(state, ((r"^(?!text_model\.|text_projection)", "text_model."),))


def clip_g_to_ldm(state: State) -> State:
    """CLIP-G's tensors as OpenCLIP names them: the projection transposed, q, k and v in one."""
    renamed = rename(state, _CLIP_G)
    renamed["text_projection"] = renamed.pop("text_projection.weight").T.contiguous()
    for name in [name for name in renamed if ".attn.q_proj." in name]:
        kind = name.rsplit(".", 1)[1]
        parts = [
            renamed.pop(name.replace("q_proj", part)) for part in ("q_proj", "k_proj", "v_proj")
        ]
        renamed[name.replace(f"q_proj.{kind}", f"in_proj_{kind}")] = torch.cat(parts)
    return renamed

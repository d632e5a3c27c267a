"""The names of a LoRA's modules in a real SDXL."""

from __future__ import annotations

import importlib
import re

import torch

from daemon.loras.sdxl_names import unet_names

REAL_UNET = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "cross_attention_dim": 2048,
}


def test_stability_s_names_of_the_whole_sdxl_are_those_that_diffusers_reads() -> None:
    conversion = importlib.import_module("diffusers.loaders.lora_conversion_utils")
    with torch.device("meta"):
        unet = importlib.import_module("diffusers").UNet2DConditionModel(**REAL_UNET)
    modules = dict(unet.named_modules())
    paths = [
        path for path, m in modules.items() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)
    ]
    theirs = re.compile("(input|middle|output)_block|out_2|time_embed_|label_emb_")
    names = {name: path for name, path in unet_names(paths, 2).items() if theirs.match(name)}
    assert set(names.values()) == set(paths)
    for name, path in names.items():
        key = {f"lora_unet_{name}.lora_down.weight": None}
        (mapped,) = conversion._maybe_map_sgm_blocks_to_diffusers(key, unet.config)
        converted = conversion._convert_unet_lora_key(mapped).replace(".processor", "")
        assert re.sub(r"[._]lora\.down\.weight$", "", converted) in (path, path.removesuffix(".0"))

"""LoRAs as files, in the names that trainers give, and the side files that lie beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from tests.models.folders import State
from tests.models.ldm_names import unet_to_ldm
from tests.models.loras import Lora
from tests.models.original_files import write_tensors
from tests.models.weights import seeded

TRIGGER = "tinystyle"

_KOHYA_PARTS = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}


def kohya_metadata(title: str, lora: Lora) -> dict[str, str]:
    """What kohya's scripts write into the header, modelspec and trigger phrase included."""
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(lora.rank),
        "ss_network_alpha": str(lora.alpha),
        "ss_output_name": title,
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_sd_model_name": "sd_xl_base_1.0.safetensors",
        "ss_resolution": "(1024, 1024)",
        "ss_tag_frequency": json.dumps({f"10_{TRIGGER}": {TRIGGER: 12, "red cat": 5}}),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": title,
        "modelspec.trigger_phrase": TRIGGER,
        "modelspec.resolution": "1024x1024",
    }


def save_peft_lora(lora: Lora, file: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write diffusers' own names, which know no alpha: it is multiplied into the second matrix."""
    state: State = {}
    for name, (down, up) in lora.layers.items():
        state[f"{name}.lora_A.weight"] = down
        state[f"{name}.lora_B.weight"] = up * (lora.alpha / lora.rank)
    return write_tensors(file, state, metadata)


def save_kohya_lora(
    lora: Lora,
    file: Path,
    metadata: Mapping[str, str] | None = None,
    *,
    sgm_blocks: bool = False,
) -> Path:
    """Write kohya's names; with `sgm_blocks` the UNet's are those of the original, as his are.

    A LoRA that `flux_lora_bfl` made has the original's names already.
    """
    state: State = {}
    for name, (down, up) in lora.layers.items():
        stem = kohya_name(name, sgm_blocks=sgm_blocks)
        state[f"{stem}.lora_down.weight"] = down
        state[f"{stem}.lora_up.weight"] = up
        state[f"{stem}.alpha"] = torch.tensor(lora.alpha)
    return write_tensors(file, state, metadata)


def kohya_name(layer: str, *, sgm_blocks: bool = False) -> str:
    """`unet.mid_block.attentions.0.proj_in` as `lora_unet_mid_block_attentions_0_proj_in`."""
    part, name = layer.split(".", 1)
    if sgm_blocks and part == "unet":
        (name,) = unet_to_ldm({name: torch.empty(0)})
    return f"{_KOHYA_PARTS[part]}_{name.replace('.', '_')}"


def save_loha(lora: Lora, file: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a LyCORIS LoHa for the same layers: alpha / rank * (w1_a @ w1_b) * (w2_a @ w2_b)."""
    state: State = {}
    with seeded(11):
        for name, (down, up) in lora.layers.items():
            stem = kohya_name(name, sgm_blocks=True)
            state[f"{stem}.hada_w1_a"] = up
            state[f"{stem}.hada_w1_b"] = down
            state[f"{stem}.hada_w2_a"] = torch.randn_like(up)
            state[f"{stem}.hada_w2_b"] = torch.randn_like(down)
            state[f"{stem}.alpha"] = torch.tensor(lora.alpha)
    return write_tensors(file, state, metadata)


def save_lokr(lora: Lora, file: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a LyCORIS LoKr: alpha / rank * kron(w1, w2_a @ w2_b), w1 being 2 by 2.

    Layers of odd width are left out.
    """
    state: State = {}
    with seeded(12):
        for name, (down, up) in lora.layers.items():
            if up.shape[0] % 2 or down.shape[1] % 2:
                continue
            stem = kohya_name(name, sgm_blocks=True)
            state[f"{stem}.lokr_w1"] = torch.randn(2, 2)
            state[f"{stem}.lokr_w2_a"] = up[: up.shape[0] // 2]
            state[f"{stem}.lokr_w2_b"] = down[:, : down.shape[1] // 2]
            state[f"{stem}.alpha"] = torch.tensor(lora.alpha)
    return write_tensors(file, state, metadata)


def save_half_wrong_lora(lora: Lora, file: Path) -> Path:
    """Write diffusers' names of which every second layer does not exist in the model."""
    layers = {
        name
        if number % 2
        else name.replace("attentions", "memories").replace("layers", "floors"): it
        for number, (name, it) in enumerate(lora.layers.items())
    }
    return save_peft_lora(Lora(lora.rank, lora.alpha, layers), file)


def save_embedding(file: Path) -> Path:
    """Write a textual inversion for SDXL, which people keep among their LoRAs."""
    with seeded(13):
        return write_tensors(file, {"clip_l": torch.randn(2, 32), "clip_g": torch.randn(2, 64)})


def write_civitai_info(file: Path, *, base_model: str = "SDXL 1.0", kind: str = "LORA") -> Path:
    """Write the `.civitai.info` that download tools leave beside a file."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest().upper()
    side = file.with_suffix(".civitai.info")
    description = {
        "id": 123456,
        "modelId": 65432,
        "name": "v1.0",
        "baseModel": base_model,
        "trainedWords": [f"{TRIGGER}, red cat", "blue hat"],
        "description": "<p>Weight 0.7 to 1.0 &amp; clip skip 2</p>",
        "model": {"name": "Tiny style", "type": kind, "nsfw": False, "poi": False},
        "files": [
            {
                "name": file.name,
                "primary": True,
                "sizeKB": file.stat().st_size / 1024,
                "hashes": {"SHA256": digest, "AutoV2": digest[:10]},
            }
        ],
        "images": [],
        "downloadUrl": "https://civitai.com/api/download/models/123456",
    }
    side.write_text(json.dumps(description, indent=2), encoding="utf-8")
    return side


def write_webui_json(file: Path) -> Path:
    """Write the `.json` in which A1111's web UI keeps what its user noted."""
    side = file.with_suffix(".json")
    notes = {
        "description": "A tiny style",
        "sd version": "SDXL",
        "activation text": f"{TRIGGER}, red cat",
        "preferred weight": 0.8,
        "negative text": "blurry",
        "notes": "手書きのメモ",
    }
    side.write_text(json.dumps(notes, ensure_ascii=False), encoding="utf-8")
    return side

"""Files in their authors' own names, each made from a diffusers folder.

A `Precision` says how the numbers are stored: a float type, or one of the two kinds of fp8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file

from tests.models.bfl_names import chroma_to_bfl, flux_to_bfl
from tests.models.folders import State, state_of
from tests.models.fp8 import to_fp8, to_scaled_fp8
from tests.models.ldm_names import clip_g_to_ldm, clip_l_to_ldm, unet_to_ldm, vae_to_ldm
from tests.models.renaming import prefixed
from tests.models.zimage_names import zimage_to_original

Precision = Literal["float32", "float16", "bfloat16", "fp8", "scaled_fp8"]

COMFY_PREFIX = "model.diffusion_model."

_TO_ORIGINAL = {
    "FluxPipeline": flux_to_bfl,
    "ChromaPipeline": chroma_to_bfl,
    "ZImagePipeline": zimage_to_original,
}


def modelspec(title: str, *, prediction_type: str = "epsilon") -> dict[str, str]:
    """The metadata that trainers write into an SDXL checkpoint."""
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": title,
        "modelspec.author": "genzo",
        "modelspec.date": "2026-11-23T00:00:00",
        "modelspec.resolution": "1024x1024",
        "modelspec.prediction_type": prediction_type,
    }


def save_sdxl_checkpoint(
    folder: Path,
    file: Path,
    *,
    precision: Precision = "float16",
    v_pred: bool = False,
    ztsnr: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a whole SDXL, made by `save_tiny_sdxl_real`, as one checkpoint.

    `v_pred` and `ztsnr` add the empty tensors by which fine-tunes such as NoobAI tell how they
    were trained.
    """
    state = stored(sdxl_checkpoint(folder), precision)
    # Real checkpoints hold these two; no program reads them.
    state["conditioner.embedders.0.transformer.text_model.embeddings.position_ids"] = torch.arange(
        77
    )[None]
    state["conditioner.embedders.1.model.logit_scale"] = torch.tensor(4.6052)
    markers = [name for name, wanted in (("v_pred", v_pred), ("ztsnr", ztsnr)) if wanted]
    state.update({name: torch.empty(0) for name in markers})
    return write_tensors(file, state, metadata)


def sdxl_checkpoint(folder: Path) -> State:
    """The tensors of a whole SDXL in Stability's names."""
    return {
        **prefixed(COMFY_PREFIX, unet_to_ldm(state_of(folder, "unet"))),
        **prefixed("first_stage_model.", vae_to_ldm(state_of(folder, "vae"))),
        **prefixed(
            "conditioner.embedders.0.transformer.", clip_l_to_ldm(state_of(folder, "text_encoder"))
        ),
        **prefixed(
            "conditioner.embedders.1.model.", clip_g_to_ldm(state_of(folder, "text_encoder_2"))
        ),
    }


def save_flux_checkpoint(folder: Path, file: Path, *, precision: Precision = "float32") -> Path:
    """Write a whole Flux as the one file that ComfyUI loads; in fp8 the VAE and CLIP are not."""
    half: Precision = "bfloat16" if precision in ("fp8", "scaled_fp8") else precision
    vae = vae_to_ldm(state_of(folder, "vae"))
    clip_l = clip_l_to_ldm(state_of(folder, "text_encoder"))
    clip_l["text_projection.weight"] = torch.eye(32)
    t5xxl = stored(state_of(folder, "text_encoder_2"), precision)
    state = {
        **prefixed(COMFY_PREFIX, stored(transformer(folder), precision)),
        **prefixed("vae.", stored(vae, half)),
        **prefixed("text_encoders.clip_l.transformer.", stored(clip_l, half)),
        **prefixed("text_encoders.t5xxl.transformer.", t5xxl),
        "text_encoders.clip_l.logit_scale": torch.tensor(4.6052),
        "text_encoders.t5xxl.logit_scale": torch.tensor(4.6052),
    }
    return write_tensors(file, state)


def save_transformer(
    folder: Path, file: Path, *, prefix: str = "", precision: Precision = "float32"
) -> Path:
    """Write the transformer of a Flux, Chroma or Z-Image alone; ComfyUI's have COMFY_PREFIX."""
    return write_tensors(file, prefixed(prefix, stored(transformer(folder), precision)))


def transformer(folder: Path) -> State:
    """The transformer's tensors in the original names of the folder's family."""
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    return _TO_ORIGINAL[index["_class_name"]](state_of(folder, "transformer"))


def save_vae(folder: Path, file: Path, *, precision: Precision = "float32") -> Path:
    """Write the autoencoder alone, as `ae.safetensors` is."""
    return write_tensors(file, stored(vae_to_ldm(state_of(folder, "vae")), precision))


def save_clip_l(folder: Path, file: Path, *, precision: Precision = "float32") -> Path:
    """Write a Flux's or an SDXL's first encoder alone, as `clip_l.safetensors` is."""
    return write_tensors(file, stored(clip_l_to_ldm(state_of(folder, "text_encoder")), precision))


def save_t5xxl(folder: Path, file: Path, *, precision: Precision = "float32") -> Path:
    """Write the T5 of a Flux or Chroma alone, as `t5xxl_fp16.safetensors` is.

    That file holds the table of tokens twice, under both of its names.
    """
    part = "text_encoder_2" if (folder / "text_encoder_2").is_dir() else "text_encoder"
    state = state_of(folder, part)
    state["encoder.embed_tokens.weight"] = state["shared.weight"]
    return write_tensors(file, stored(state, precision))


def save_qwen3(folder: Path, file: Path, *, precision: Precision = "float32") -> Path:
    """Write a Z-Image's encoder alone, as `qwen_3_4b.safetensors` is."""
    state = prefixed("model.", state_of(folder, "text_encoder"))
    return write_tensors(file, stored(state, precision))


def stored(state: State, precision: Precision) -> State:
    """The tensors as a file of this precision holds them."""
    if precision == "fp8":
        return to_fp8(state)
    if precision == "scaled_fp8":
        return to_scaled_fp8(state)
    return {name: tensor.to(getattr(torch, precision)) for name, tensor in state.items()}


def write_tensors(file: Path, state: State, metadata: Mapping[str, str] | None = None) -> Path:
    """Write the file, and return it; tensors may share memory."""
    file.parent.mkdir(parents=True, exist_ok=True)
    apart = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    save_file(apart, str(file), metadata=dict(metadata) if metadata else {"format": "pt"})
    return file

"""What kind of LoRA a file is, as far as the names and shapes of its tensors tell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from daemon.loras.keys import Part, read_key
from daemon.safetensors_header import Header

_Name = TypeVar("_Name", bound=str)


class Algorithm(StrEnum):
    """How a file changes the weights; the first two are those that we apply."""

    LORA = "LoRA"
    DORA = "DoRA"
    KOHYA_DORA = "DoRA as kohya writes it"
    LOHA = "LoHa"
    LOKR = "LoKr"
    OFT = "OFT"
    GLORA = "GLoRA"
    IA3 = "IA3"
    FULL = "full differences of weights"
    TUCKER = "LoCon with a middle matrix"
    EMBEDDINGS = "a LoRA with bundled embeddings"
    NONE = "no LoRA at all"


# In the files' keys with underscores for dots, each in a line; the first that matches decides.
_ALGORITHMS = {
    Algorithm.LOHA: r"_hada_w",
    Algorithm.LOKR: r"_lokr_w",
    Algorithm.OFT: r"_oft_(blocks|diag|R)",
    Algorithm.IA3: r"_on_input$",
    Algorithm.GLORA: r"_(a1|b1)_weight$",
    Algorithm.EMBEDDINGS: r"^bundle_emb_",
    Algorithm.FULL: r"_(diff|diff_b|set_weight)$",
    Algorithm.TUCKER: r"_lora_mid_weight$",
    Algorithm.KOHYA_DORA: r"_dora_scale$",
    Algorithm.DORA: r"_lora_magnitude_vector",
    Algorithm.LORA: r"_lora_(A|B|down|up|linear_layer)_",
}
_FAMILIES = {
    "chroma": r"distilled_guidance_layer",
    "flux": r"(^|_)(single_transformer_blocks|single_blocks|double_blocks)_\d"
    r"|^(base_model_model_|(lora_)?transformer_|diffusion_model_)?transformer_blocks_\d+"
    r"_(attn|ff|norm1)_",
    "sd3": r"joint_blocks_\d",
    "zimage": r"(noise|context)_refiner_\d"
    r"|(^|_)layers_\d+_(attention|feed_forward|adaLN_modulation)_",
    # SDXL alone has a second text encoder, and transformers of more than one block.
    "sdxl": r"^(lora_te2|text_encoder_2)_|attentions_\d+_transformer_blocks_[1-9]"
    r"|put_blocks_\d+_1_transformer_blocks_[1-9]|middle_block_1_transformer_blocks_[1-9]",
}
# What trainers write of the model where its names are those of FLUX, too.
_SAID = {
    "chroma": r"chroma",
    "flux2": r"flux[-_.]?2",
    "qwen-image": r"qwen",
    "sd3": r"sd-?3|stable-diffusion-?3",
}
# Modules of FLUX that Chroma has not.
_FLUX_ALONE = (
    r"_(img_mod|txt_mod|modulation)_lin_|_norm1?(_context)?_linear_"
    r"|(time|vector|guidance)_in_|time_text_embed_|^(lora_te1|text_encoder)_"
)
# Where the names above say nothing, the width of the text that the UNet attends to.
_WIDTHS = {768: "sd1", 1024: "sd2", 1280: "sdxl-refiner", 2048: "sdxl"}
_LAST_RESORT = (
    ("sdxl", r"^(lora_te1_|lora_unet_(input|middle|output)_block)"),
    ("sd1", r"^lora_te_|^(lora_)?unet_(down_blocks_0_attentions|up_blocks_3)_"),
    # SD 1 has these names too. Loading compares every name and shape with the model's.
    ("sdxl", r"^(lora_unet|unet|text_encoder)_"),
)


def families_of(header: Header) -> tuple[str, ...]:
    """The families that the file may have been made for, the likeliest first.

    As `daemon.families.registry` names them, or others' names, or "unknown". FLUX and Chroma are
    two for a file that has only what both of them have, and does not say which.
    """
    names = _names(header)
    family = _first(_FAMILIES.items(), names)
    if family != "flux":
        return (family or _by_width(header) or _first(_LAST_RESORT, names) or "unknown",)
    said = _trained_on(header).lower()
    family = _first(_SAID.items(), said) or "flux"
    if family != "flux" or "flux" in said or re.search(_FLUX_ALONE, names, re.MULTILINE):
        return (family,)
    return ("flux", "chroma")


def algorithm_of(header: Header) -> Algorithm:
    """How the file changes the weights."""
    return _first(_ALGORITHMS.items(), _names(header)) or Algorithm.NONE


def why_unusable(header: Header) -> str | None:
    """Why the file cannot be applied to any model of its family, or None if it can."""
    algorithm = algorithm_of(header)
    if algorithm is Algorithm.KOHYA_DORA:
        return f"{algorithm} is not supported: diffusers would leave its magnitudes out"
    if algorithm not in (Algorithm.LORA, Algorithm.DORA):
        return f"it is {algorithm}, which is not supported"
    if families_of(header) == ("unknown",):
        return f"it is for no family that we know; its first key is {_example(header.tensors)}"
    return None


def unread_keys(header: Header) -> str | None:
    """Why the keys of a file cannot be read, or None if they can."""
    keys = {name: read_key(name) for name in header.tensors}
    unread = [name for name, key in keys.items() if key is None]
    if unread:
        return (
            f"{len(unread)} of its {len(keys)} keys are spelled in no way that we know, "
            f"such as {_example(unread)}"
        )
    modules: dict[tuple[str, str], set[Part]] = {}
    for key in keys.values():
        assert key is not None
        modules.setdefault((key.component, key.module), set()).add(key.part)
    halves = [name for (_, name), parts in modules.items() if not parts >= {Part.DOWN, Part.UP}]
    if halves:
        return f"{len(halves)} of its {len(modules)} modules have but half of a pair, {halves[0]!r}"
    return None


def _names(header: Header) -> str:
    return "\n".join(header.tensors).replace(".", "_")


def _first(patterns: Iterable[tuple[_Name, str]], names: str) -> _Name | None:
    return next((name for name, p in patterns if re.search(p, names, re.MULTILINE)), None)


def _by_width(header: Header) -> str | None:
    for name, info in header.tensors.items():
        key = read_key(name)
        if (
            key
            and key.part is Part.DOWN
            and key.module.endswith("attn2_to_k")
            and len(info.shape) > 1
        ):
            return _WIDTHS.get(info.shape[1])
    return None


def _trained_on(header: Header) -> str:
    metadata = header.metadata
    keys = ("ss_base_model_version", "modelspec.architecture")
    return " ".join(metadata.get(key, "") for key in keys)


def _example(names: Iterable[str]) -> str:
    return repr(next(iter(names), ""))[:100]

"""LoRAs as numbers: what is added to which layers, whatever a file calls them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.models.folders import State, state_of
from tests.models.ldm_names import clip_l_to_ldm
from tests.models.original_files import transformer
from tests.models.weights import seeded

_SDXL_LAYERS = {
    "unet": re.compile(r"attentions.*\.(to_[qkv]|to_out\.0|ff\.net\.0\.proj|ff\.net\.2)\.weight$"),
    "text_encoder": re.compile(r"\.([qkv]|out)_proj\.weight$"),
    "text_encoder_2": re.compile(r"\.([qkv]|out)_proj\.weight$"),
}
_FLUX_LAYERS = re.compile(r"blocks\.\d+\.attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj)\.weight$")
# Not `linear1`: diffusers cuts it at the real width.
_BFL_LAYERS = re.compile(r"^double_blocks.*_(attn\.(qkv|proj)|mlp\.[02])\.weight$|linear2\.weight$")


@dataclass(frozen=True)
class Lora:
    """Two thin matrices (rank, in) and (out, rank) for every layer, named `<part>.<layer>`.

    A layer's weight grows by alpha / rank * up @ down.
    """

    rank: int
    alpha: float
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]]

    def delta(self, layer: str) -> torch.Tensor:
        """What is added to the weight of the layer."""
        down, up = self.layers[layer]
        return self.alpha / self.rank * up @ down


def sdxl_lora(
    folder: Path,
    *,
    rank: int = 4,
    alpha: float = 2.0,
    parts: tuple[str, ...] = ("unet", "text_encoder", "text_encoder_2"),
    seed: int = 7,
) -> Lora:
    """A LoRA for the attention of an SDXL's UNet and for that of both text encoders."""
    weights: State = {}
    for part in parts:
        state = state_of(folder, part)
        state = clip_l_to_ldm(state) if part == "text_encoder" else state
        chosen = [name for name in sorted(state) if _SDXL_LAYERS[part].search(name)]
        weights.update({f"{part}.{name}": state[name] for name in chosen})
    return _drawn(weights, rank, alpha, seed)


def flux_lora(folder: Path, *, rank: int = 4, alpha: float = 4.0, seed: int = 8) -> Lora:
    """A LoRA for the attention of a Flux, under diffusers' names."""
    state = state_of(folder, "transformer")
    weights = {f"transformer.{name}": state[name] for name in state if _FLUX_LAYERS.search(name)}
    return _drawn(weights, rank, alpha, seed)


def flux_lora_bfl(folder: Path, *, rank: int = 4, alpha: float = 2.0, seed: int = 9) -> Lora:
    """A LoRA for layers of a Flux as they are in the original, q, k and v in one."""
    state = transformer(folder)
    weights = {f"unet.{name}": state[name] for name in state if _BFL_LAYERS.search(name)}
    return _drawn(weights, rank, alpha, seed)


def _drawn(weights: State, rank: int, alpha: float, seed: int) -> Lora:
    layers = {}
    with seeded(seed):
        for name, weight in weights.items():
            down = torch.randn(rank, weight.shape[1]) * 0.2
            up = torch.randn(weight.shape[0], rank) * 0.2
            layers[name.removesuffix(".weight")] = (down, up)
    return Lora(rank, alpha, layers)

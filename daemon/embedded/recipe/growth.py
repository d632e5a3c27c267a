"""Growing trained networks without changing what they compute.

As in Net2Net (Chen et al. 2015, arXiv:1511.05641) the larger network begins as the same function:
new layers are residual branches whose last weights are zero.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from daemon.embedded.recipe.network import Architecture, Network, new_network, silence

LAYER = re.compile(r"(?<=layers\.)\d+(?=\.)")


def grow(small: Network, architecture: Architecture) -> Network:
    """The same function in a larger architecture: attention at the top, more text layers.

    Raises ValueError when the widths differ: a wider network normalises over other groups.
    """
    vocabulary = small.text_encoder.config.vocab_size
    large = new_network(architecture, vocabulary)
    _check_widths(small, large)
    _grow_unet(small.unet, large.unet)
    _grow_text(small.text_encoder, large.text_encoder)
    _grow_text(small.text_encoder_2, large.text_encoder_2)
    return large


def _check_widths(small: Network, large: Network) -> None:
    for name, key in (
        ("unet", "block_out_channels"),
        ("text_encoder", "hidden_size"),
        ("text_encoder_2", "hidden_size"),
    ):
        old, new = (_width(network, name, key) for network in (small, large))
        if old != new:
            raise ValueError(f"{name} has {key} {old} and shall get {new}; train it from nothing")


def _width(network: Network, part: str, key: str) -> tuple[int, ...]:
    width = getattr(getattr(network, part).config, key)
    return (width,) if isinstance(width, int) else tuple(width)


def _grow_unet(small: Any, large: Any) -> None:
    missing, unknown = large.load_state_dict(small.state_dict(), strict=False)
    new = {name.partition(".attentions.")[0] for name in missing}
    if unknown or not all(".attentions." in name for name in missing):
        raise ValueError(f"the UNet cannot grow: {[*unknown, *missing][:4]} do not fit")
    for block in new:
        silence(large.get_submodule(block).attentions.modules())


def _grow_text(small: Any, large: Any) -> None:
    """Old layers keep their places, but for the last, which stays last; new ones pass on.

    So `hidden_states[-2]`, which SDXL reads, and what follows it are unchanged.
    """
    before, after = small.config.num_hidden_layers, large.config.num_hidden_layers
    if after < before:
        raise ValueError(f"a text encoder of {before} layers cannot shrink to {after}")
    grown: dict[str, Tensor] = {}
    for name, weight in small.state_dict().items():
        layer = LAYER.search(name)
        last = layer is not None and int(layer.group()) == before - 1
        grown[LAYER.sub(str(after - 1), name) if last else name] = weight
    large.load_state_dict(grown, strict=False)
    with torch.no_grad():
        for name, parameter in large.named_parameters():
            residual = re.search(r"\.(out_proj|fc2)\.(weight|bias)$", name)
            if residual and name not in grown:
                parameter.zero_()

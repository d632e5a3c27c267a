"""How the keys of LoRA files for UNets are spelled: diffusers' ways, old and new, and kohya's.

Every way names a part (down, up, …) of a module of a component. kohya writes underscores for the
dots of the module's path, so that is the form in which modules are compared; its path in turn
may be that of diffusers or of Stability's own code (`sdxl_names`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What a tensor is to its module: W + alpha / rank · up @ down (arXiv:2106.09685).

    `magnitude` is DoRA's (arXiv:2402.09353).
    """

    DOWN = "down"
    UP = "up"
    ALPHA = "alpha"
    MAGNITUDE = "magnitude"


@dataclass(frozen=True, slots=True)
class Key:
    """A key taken apart; `module` has underscores, and no `text_model_` in front."""

    component: str
    module: str
    part: Part


_COMPONENTS = {
    "lora_unet_": "unet",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "unet.": "unet",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
}
_PARTS = {
    ".lora_down.weight": Part.DOWN,
    ".lora_up.weight": Part.UP,
    ".lora_A.weight": Part.DOWN,
    ".lora_B.weight": Part.UP,
    ".lora.down.weight": Part.DOWN,
    ".lora.up.weight": Part.UP,
    "_lora.down.weight": Part.DOWN,
    "_lora.up.weight": Part.UP,
    ".lora_linear_layer.down.weight": Part.DOWN,
    ".lora_linear_layer.up.weight": Part.UP,
    ".alpha": Part.ALPHA,
    ".lora_magnitude_vector": Part.MAGNITUDE,
    ".lora_magnitude_vector.weight": Part.MAGNITUDE,
}
_OLD_NAMES = {
    "self_attn_to_q": "self_attn_q_proj",
    "self_attn_to_k": "self_attn_k_proj",
    "self_attn_to_v": "self_attn_v_proj",
    "self_attn_to_out": "self_attn_out_proj",
}


def read_key(key: str) -> Key | None:
    """The key taken apart, or None if it is spelled in no way that we know."""
    component = next((name for name in _COMPONENTS if key.startswith(name)), None)
    ending = next((name for name in _PARTS if key.endswith(name)), None)
    if component is None or ending is None:
        return None
    module = key.removeprefix(component).removesuffix(ending).replace(".", "_")
    module = module.replace("_processor_", "_").removeprefix("text_model_")
    for old, new in _OLD_NAMES.items():
        module = module.replace(old, new)
    return Key(_COMPONENTS[component], module, _PARTS[ending])

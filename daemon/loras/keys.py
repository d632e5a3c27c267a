"""How the keys of LoRA files are spelled: diffusers' ways, old and new, kohya's, and others'.

Every way names a part (down, up, …) of a module of a component. kohya writes underscores for the
dots of the module's path, so that is the form in which modules are compared; its path in turn
may be that of diffusers or of the model's authors (`sdxl_names`, `flow_names`).
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


NETWORK = "network"
"""The component that denoises: what files call the UNet, the transformer or the model."""
_COMPONENTS = {
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    # kohya's scripts and those after them; OneTrainer; LyCORIS.
    "lora_unet_": NETWORK,
    "lora_transformer_": NETWORK,
    "lycoris_": NETWORK,
    # diffusers and peft; ComfyUI and ai-toolkit.
    "unet.": NETWORK,
    "transformer.": NETWORK,
    "base_model.model.": NETWORK,
    "diffusion_model.": NETWORK,
    "model.diffusion_model.": NETWORK,
}
_BARE = (
    "double_blocks.",
    "single_blocks.",
    "transformer_blocks.",
    "single_transformer_blocks.",
    "layers.",
    "noise_refiner.",
    "context_refiner.",
    "distilled_guidance_layer.",
    "img_in.",
    "txt_in.",
    "time_in.",
    "vector_in.",
    "guidance_in.",
    "x_embedder.",
    "t_embedder.",
    "cap_embedder.",
    "final_layer.",
)
"""The beginnings of modules' paths that some files write without anything before."""
_PARTS = {
    ".lora_down.weight": Part.DOWN,
    ".lora_up.weight": Part.UP,
    ".lora_A.weight": Part.DOWN,
    ".lora_B.weight": Part.UP,
    ".lora_A.default.weight": Part.DOWN,
    ".lora_B.default.weight": Part.UP,
    ".lora.down.weight": Part.DOWN,
    ".lora.up.weight": Part.UP,
    "_lora.down.weight": Part.DOWN,
    "_lora.up.weight": Part.UP,
    ".lora_linear_layer.down.weight": Part.DOWN,
    ".lora_linear_layer.up.weight": Part.UP,
    ".down.weight": Part.DOWN,
    ".up.weight": Part.UP,
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
    prefix = next((name for name in _COMPONENTS if key.startswith(name)), "")
    ending = next((name for name in _PARTS if key.endswith(name)), None)
    if ending is None or not (prefix or key.startswith(_BARE)):
        return None
    module = key.removeprefix(prefix).removesuffix(ending).replace(".", "_")
    module = module.replace("_processor_", "_").removeprefix("text_model_")
    for old, new in _OLD_NAMES.items():
        module = module.replace(old, new)
    return Key(_COMPONENTS.get(prefix, NETWORK), module, _PARTS[ending])

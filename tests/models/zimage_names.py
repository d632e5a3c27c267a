"""The names in Z-Image's transformer file as ComfyUI distributes it.

This undoes diffusers' `convert_z_image_transformer_checkpoint_to_diffusers`.
"""

from __future__ import annotations

import torch

from tests.models.folders import State
from tests.models.renaming import Rule, rename

_RULES: tuple[Rule, ...] = (
    (r"^all_final_layer\.2-1\.", "final_layer."),
    (r"^all_x_embedder\.2-1\.", "x_embedder."),
    (r"\.attention\.to_out\.0\.", ".attention.out."),
    (r"\.attention\.norm_([qk])\.", r".attention.\1_norm."),
)


def zimage_to_original(state: State) -> State:
    """A ZImageTransformer2DModel's tensors under the original names, q, k and v in one.

    `norm_final.weight` is a leftover of Lumina's that no one reads; diffusers drops it.
    """
    renamed = rename(state, _RULES)
    for name in [name for name in renamed if ".attention.to_q." in name]:
        parts = [renamed.pop(name.replace("to_q", part)) for part in ("to_q", "to_k", "to_v")]
        renamed[name.replace("to_q", "qkv")] = torch.cat(parts)
    renamed["norm_final.weight"] = torch.ones_like(renamed["cap_pad_token"][0])
    return renamed

"""LoRAs for the tiny SDXL model, in every spelling, and the same merged by plain arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

KOHYA = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
# The first block of the tiny UNet's way down, as Stability's code numbers it.
STABILITY = {
    "down_blocks_1_attentions_0_": "input_blocks_3_1_",
    "down_blocks_1_resnets_0_conv1": "input_blocks_3_0_in_layers_2",
    "down_blocks_1_resnets_0_conv_shortcut": "input_blocks_3_0_skip_connection",
    "down_blocks_0_downsamplers_0_conv": "input_blocks_2_0_op",
    "down_blocks_0_resnets_0_time_emb_proj": "input_blocks_1_0_emb_layers_1",
    "mid_block_attentions_0_": "middle_block_1_",
    "mid_block_resnets_1_conv2": "middle_block_2_out_layers_3",
    "up_blocks_0_attentions_1_": "output_blocks_1_1_",
    "up_blocks_0_upsamplers_0_conv": "output_blocks_1_2_conv",
    "conv_in": "input_blocks_0_0",
    "conv_out": "out_2",
    "time_embedding_linear_1": "time_embed_0",
    "add_embedding_linear_2": "label_emb_0_2",
}


@dataclass(frozen=True)
class Pair:
    """What a LoRA does to one module: alpha / rank · up @ down; alpha None stands for the rank."""

    component: str
    path: str
    down: torch.Tensor
    up: torch.Tensor
    alpha: float | None

    @property
    def scale(self) -> float:
        rank = self.down.shape[0]
        return (rank if self.alpha is None else self.alpha) / rank


Lora = list[Pair]


def draw_lora(
    pipeline: Any,
    seed: int = 0,
    *,
    ranks: Sequence[int] = (4,),
    alphas: Sequence[float | None] = (2.0,),
    components: Sequence[str] = ("unet", *TEXT_ENCODERS),
    wanted: Callable[[str], bool] = lambda path: "attn" in path,
) -> Lora:
    """Random pairs for the modules of a pipeline without LoRAs; ranks and alphas take turns."""
    generator = torch.Generator().manual_seed(seed)
    lora: Lora = []
    for component in components:
        for path, module in getattr(pipeline, component).named_modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) and wanted(path):
                out, inner, *kernel = module.weight.shape
                rank, alpha = ranks[len(lora) % len(ranks)], alphas[len(lora) % len(alphas)]
                down = 0.3 * torch.randn(rank, inner, *kernel, generator=generator)
                up = 0.3 * torch.randn(out, rank, *(1 for _ in kernel), generator=generator)
                lora.append(Pair(component, path, down, up, alpha))
    return lora


def kohya(lora: Lora) -> dict[str, torch.Tensor]:
    """As sd-scripts writes a LoRA for a diffusers UNet."""
    return _with_underscores(lora, {})


def stability(lora: Lora) -> dict[str, torch.Tensor]:
    """As sd-scripts writes a LoRA for SDXL: with the block numbers of Stability's UNet."""
    return _with_underscores(lora, STABILITY)


def _with_underscores(lora: Lora, renamed: dict[str, str]) -> dict[str, torch.Tensor]:
    tensors = {}
    for pair in lora:
        path = pair.path.replace(".", "_")
        for ours, theirs in renamed.items() if pair.component == "unet" else ():
            path = theirs + path.removeprefix(ours) if path.startswith(ours) else path
        if pair.component != "unet":
            path = "text_model_" + path.removeprefix("text_model_")
        name = f"{KOHYA[pair.component]}_{path}"
        tensors[f"{name}.lora_down.weight"] = pair.down
        tensors[f"{name}.lora_up.weight"] = pair.up
        if pair.alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(pair.alpha)
    return tensors


def diffusers(lora: Lora) -> dict[str, torch.Tensor]:
    """As diffusers writes it, with the scale in `up`, since this spelling has none."""
    tensors = {}
    for pair in lora:
        tensors[f"{pair.component}.{pair.path}.lora_A.weight"] = pair.down
        tensors[f"{pair.component}.{pair.path}.lora_B.weight"] = pair.up * pair.scale
    return tensors


def old_diffusers(lora: Lora) -> dict[str, torch.Tensor]:
    """As diffusers wrote attention before peft."""
    tensors = {}
    for pair in lora:
        path = pair.path
        if pair.component == "unet":
            path = path.replace(".to_", ".processor.to_").removesuffix(".0") + "_lora"
        else:
            path = f"text_model.{path.removeprefix('text_model.')}"
            for name in ("q", "k", "v", "out"):
                path = path.replace(f"{name}_proj", f"to_{name}_lora")
        tensors[f"{pair.component}.{path}.down.weight"] = pair.down
        tensors[f"{pair.component}.{path}.up.weight"] = pair.up * pair.scale
    return tensors


def save_lora(
    path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> Path:
    """Write a LoRA file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def merge(pipeline: Any, lora: Lora, weight: float) -> None:
    """Add the LoRA to the pipeline's own weights."""
    for pair in lora:
        module = getattr(pipeline, pair.component).get_submodule(pair.path)
        product = pair.up.flatten(1) @ pair.down.flatten(1)
        module.weight.data += weight * pair.scale * product.reshape(module.weight.shape)

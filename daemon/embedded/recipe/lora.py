"""The LoRA: a style that a trigger word calls, learned on the frozen model, in kohya's form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from daemon.embedded.recipe.checkpoints import State
from daemon.embedded.recipe.network import Network
from daemon.embedded.recipe.shards import Encoded
from daemon.embedded.recipe.styles import Style
from daemon.embedded.recipe.training import Report, Settings, train

RANK = 8
MODULES = (
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out",
    "conv1", "conv2", "conv_in", "conv_out", "conv_shortcut", "time_emb_proj", "linear_1",
    "linear_2", "q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2",
)  # fmt: skip
"""Convolutions too: a style lives at full resolution, where the model has no attention. And the
text encoders', which have learned to pass over words that say nothing, such as a trigger was."""
PREFIXES = {
    "unet": "lora_unet_",
    "text_encoder": "lora_te1_text_model_",
    "text_encoder_2": "lora_te2_text_model_",
}


def train_lora(
    network: Network,
    data: Sequence[Encoded],
    empty: tuple[Tensor, Tensor],
    settings: Settings,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train adapters on all three networks (Hu et al. 2021, arXiv:2106.09685).

    Killed and called again, it goes on from the checkpoint. `data` holds the style's shards and
    plain ones alike: on plain captions the adapters learn to stay silent.
    """
    from peft import LoraConfig  # noqa: PLC0415

    part: Any
    for _, part in network.parts():
        part.requires_grad_(requires_grad=False)
        names = {path.rpartition(".")[2] for path, _ in part.named_modules()}
        targets = [name for name in MODULES if name.rpartition(".")[2] in names]
        part.add_adapter(
            LoraConfig(
                r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=targets
            )
        )
    learned = {
        name: weight for name, weight in network.parameters().items() if weight.requires_grad
    }
    optimizer = torch.optim.AdamW(list(learned.values()), lr=0, betas=(0.9, 0.98), weight_decay=0)
    state = State.begun(learned, [optimizer])
    if checkpoint.exists():
        state.load(checkpoint)
    train(network, state, data, empty, replace(settings, average=0.99), checkpoint, report)
    state.swap()


def save_lora(network: Network, file: Path, style: Style) -> None:
    """The adapters in kohya's names, half precision, with modelspec's metadata."""
    tensors: dict[str, Tensor] = {}
    for name, layer in _adapted(network):
        tensors[f"{name}.lora_down.weight"] = layer.lora_A["default"].weight.detach().half()
        tensors[f"{name}.lora_up.weight"] = layer.lora_B["default"].weight.detach().half()
        tensors[f"{name}.alpha"] = torch.tensor(float(RANK)).half()
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in tensors.items()}, file, _metadata(style))
    file.chmod(0o644)  # safetensors writes for its owner alone


def _adapted(network: Network) -> Iterator[tuple[str, Any]]:
    """The modules with an adapter, by kohya's names."""
    for part, module in network.parts():
        for path, layer in module.named_modules():
            if hasattr(layer, "lora_A"):
                yield PREFIXES[part] + path.removeprefix("text_model.").replace(".", "_"), layer


def _metadata(style: Style) -> dict[str, str]:
    """What https://github.com/Stability-AI/ModelSpec and kohya's tools name."""
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.implementation": "https://github.com/huggingface/diffusers",
        "modelspec.title": style.trigger.capitalize(),
        "modelspec.author": "genzo",
        "modelspec.license": "MIT",
        "modelspec.resolution": "256x256",
        "modelspec.prediction_type": "v",
        "modelspec.trigger_phrase": style.trigger,
        "modelspec.description": f"Restyles the pictures of genzo's embedded model as "
        f"{style.trigger}. For that model alone.",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(RANK),
        "ss_network_alpha": str(RANK),
        "ss_tag_frequency": json.dumps({"scenes": {style.trigger: 1}}),
    }

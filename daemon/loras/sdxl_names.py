"""Under which names LoRA files know the modules of an SDXL UNet."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WHOLE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_MIDDLE = {"resnets.0": 0, "attentions.0": 1, "resnets.1": 2}
_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_UP_ATTENTION = r"up_blocks\.\d+\.attentions\."
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)")
_MIDDLE_BLOCK = re.compile(r"mid_block\.(\w+\.\d+)\.(.+)")


def unet_names(modules: Iterable[str], layers_per_block: int) -> dict[str, str]:
    """The UNet's module paths by each name, with underscores, that files use for them.

    Those are diffusers' own paths, older ones without the last index of an attention's output,
    and the paths of Stability's UNet, whose blocks are numbered through.
    """
    paths = list(modules)
    # An upsampler comes behind the block's attention, where there is one.
    attentive = {path.split(".")[1] for path in paths if re.match(_UP_ATTENTION, path)}
    names = {}
    for path in paths:
        names[path.replace(".", "_")] = path
        names[path.removesuffix(".0").replace(".", "_")] = path
        original = _original(path, layers_per_block + 1, attentive)
        if original is not None:
            names[original.replace(".", "_")] = path
    return names


def text_names(modules: Iterable[str]) -> dict[str, str]:
    """A text encoder's module paths by the names, with underscores, that files use for them."""
    return {path.removeprefix("text_model.").replace(".", "_"): path for path in modules}


def _original(path: str, layers: int, attentive: set[str]) -> str | None:
    """The path in Stability's code (generative-models), or None if it has none."""
    if match := _MIDDLE_BLOCK.fullmatch(path):
        number, rest = _MIDDLE.get(match[1], 0), match[2]
        return f"middle_block.{number}.{_RESNET.get(rest, rest)}"
    match = _BLOCK.fullmatch(path)
    if match is None:
        return _WHOLE.get(path)
    side, block, kind, index, rest = match.groups()
    number = int(block) * layers + int(index)
    if kind == "downsamplers":
        return f"input_blocks.{number + layers}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{number + layers - 1}.{2 if block in attentive else 1}.{rest}"
    inner = f"{0 if kind == 'resnets' else 1}.{_RESNET.get(rest, rest)}"
    return (
        f"input_blocks.{number + 1}.{inner}"
        if side == "down"
        else f"output_blocks.{number}.{inner}"
    )

"""Whether a folder's files hold exactly what its pipeline consists of.

diffusers and transformers load what they find: a tensor that is missing stays without a value, or
gets random ones, and one too many is passed over, both without an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from daemon.weights.headers import WeightsError, read_header

_TIED = frozenset({"encoder.embed_tokens.weight", "lm_head.weight"})
"""Names of tensors that are another one by another name."""
_PASSED_OVER = ("position_ids", "inv_freq")
_SHOWN = 2


def check_complete(folder: Path, pipeline: Any) -> None:
    """Raise WeightsError naming the first part whose files and module differ in their tensors."""
    for name, module in pipeline.components.items():
        if isinstance(module, torch.nn.Module):
            _check_part(folder / name, module)
        if name.startswith("tokenizer"):
            encoder = name.replace("tokenizer", "text_encoder")
            rows = pipeline.components[encoder].get_input_embeddings().weight.shape[0]
            if len(module) > rows:
                raise WeightsError(
                    f"{folder / name}: has {len(module)} tokens, the text encoder in "
                    f"{folder / encoder} knows {rows}; fetch both again"
                )


def _check_part(folder: Path, module: torch.nn.Module) -> None:
    stored: set[str] = set()
    for file in _files(folder):
        header = read_header(file)
        stored |= {_bare(name) for name in header.tensors}
        for name, info in header.tensors.items():
            if info.dtype.startswith(("I", "U")) and not name.endswith(_PASSED_OVER):
                raise WeightsError(
                    f"{file}: {name} holds whole numbers ({info.dtype}), a quantisation that "
                    "genzo does not know; fetch the model in float16 or bfloat16"
                )
    wanted = {_bare(name) for name in module.state_dict()}
    missing = [n for n in sorted(wanted - stored) if n not in _TIED]
    unexpected = [n for n in sorted(stored - wanted) if n not in _TIED and _counts(n)]
    faults = [
        f"{len(names)} tensors {what}, such as {', '.join(names[:_SHOWN])}"
        for names, what in ((missing, "are missing"), (unexpected, "are not of it"))
        if names
    ]
    if faults:
        raise WeightsError(
            f"{folder}: is not what its config.json says: {'; '.join(faults)}; fetch the model "
            "again"
        )


def _files(folder: Path) -> Iterable[Path]:
    files = sorted(folder.glob("*.safetensors"))
    plain = [file for file in files if ".fp16" not in file.name]
    return plain or files


def _bare(name: str) -> str:
    # Encoders are published with and without the name of the class around them.
    return name.removeprefix("text_model.").removeprefix("model.")


def _counts(name: str) -> bool:
    return not name.endswith(_PASSED_OVER)

"""How much memory a model will take, told before it is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path

from daemon.families.base import ModelSpec
from daemon.weights.headers import read_header
from daemon.weights.layouts import folder_component

_COMPANIONS = ("text_encoder", "text_encoder_2", "vae")
_CONVERTED = frozenset({"F64", "F32", "F16", "BF16"})


def expected_bytes(spec: ModelSpec, itemsize: int) -> int:
    """The bytes of the model's tensors once floats have `itemsize` bytes; others stay as they are.

    Read from the headers of its files. A VAE that stays in float32 is not told apart. Raises
    ModelError for a file that is no weights.
    """
    return sum(_bytes_in(file, itemsize) for file in _files(spec))


def _files(spec: ModelSpec) -> Iterable[Path]:
    if spec.weights.is_dir():
        for folder in spec.weights.iterdir():
            yield from weights_files(folder)
    else:
        yield spec.weights
    for part in _COMPANIONS:
        place: Path | None = getattr(spec, part)
        if place is None:
            continue
        if place.is_dir():
            yield from weights_files(folder_component(place, part) or place)
        else:
            yield place


def weights_files(folder: Path) -> list[Path]:
    """The safetensors files of one component, the fp16 variants only where there are no others."""
    files = sorted(folder.glob("*.safetensors"))
    return [file for file in files if ".fp16" not in file.name] or files


def _bytes_in(file: Path, itemsize: int) -> int:
    header = read_header(file)
    if header.is_gguf:
        return file.stat().st_size
    return sum(
        prod(info.shape) * (itemsize if info.dtype in _CONVERTED else 1)
        for info in header.tensors.values()
    )

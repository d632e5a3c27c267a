"""What a weights file says of itself, read without its weights and without torch.

Only safetensors and GGUF are read. Anything that a pickle could be in is refused by its name and
by its first bytes, since loading a pickle runs whatever its author wrote.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.errors import ModelError

MAX_HEADER_BYTES = 100 << 20
"""As safetensors itself limits it."""

_LENGTH_BYTES = 8
_GGUF = b"GGUF"
_PICKLE_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"})
_DTYPE_BITS = {
    "F64": 64, "I64": 64, "U64": 64,
    "F32": 32, "I32": 32, "U32": 32,
    "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8,
    "F4": 4,
}  # fmt: skip


class WeightsError(ModelError):
    """A file that cannot be used as weights; says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor's dtype, as safetensors names it, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """The names, dtypes and shapes in one file, and its free text."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_gguf: bool = False


def read_header(path: Path) -> Header:
    """The header of a safetensors or GGUF file.

    Raises WeightsError: the file is missing, a pickle, a page, cut short, or not what it says.
    """
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise WeightsError(
            f"{path}: a {path.suffix} file may hold a pickle, which runs code when it is loaded; "
            "fetch the .safetensors of this model"
        )
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise WeightsError(f"{path}: is no regular file; correct the path in genzo.toml")
        size = status.st_size
        with path.open("rb") as file:
            beginning = file.read(_LENGTH_BYTES)
            _check_beginning(path, beginning)
            if beginning.startswith(_GGUF):
                return _read_gguf(path)
            length = int.from_bytes(beginning, "little")
            if length > min(MAX_HEADER_BYTES, size - _LENGTH_BYTES):
                raise WeightsError(
                    f"{path}: its header should have {length} bytes, the file has {size}; "
                    "it is cut short or no safetensors file: fetch it again"
                )
            text = file.read(length)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}; correct the path in genzo.toml") from None
    return _parse(path, text, size - _LENGTH_BYTES - length)


def _check_beginning(path: Path, beginning: bytes) -> None:
    if len(beginning) < _LENGTH_BYTES:
        raise WeightsError(f"{path}: has {len(beginning)} bytes only; fetch it again")
    if beginning.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise WeightsError(
            f"{path}: is a pickle, whatever its name says, and would run code when it is loaded; "
            "fetch the .safetensors of this model"
        )
    if beginning.lstrip().startswith((b"<", b"{")):
        raise WeightsError(
            f"{path}: is a text, such as the error page of a download; fetch the file again"
        )
    if beginning.startswith(b"version "):
        raise WeightsError(
            f"{path}: is a pointer of Git LFS, not the file; fetch it with: git lfs pull"
        )


def _parse(path: Path, text: bytes, data_bytes: int) -> Header:
    try:
        document: dict[str, Any] = json.loads(text)
        metadata = dict(document.pop("__metadata__", None) or {})
        tensors = {
            name: TensorInfo(entry["dtype"], tuple(entry["shape"]))
            for name, entry in document.items()
        }
        end = max((entry["data_offsets"][1] for entry in document.values()), default=0)
        faults = (name for name, entry in document.items() if not _is_sized(entry))
        fault = next(faults, None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise WeightsError(f"{path}: is no safetensors file; fetch it again") from None
    if fault is not None:
        raise WeightsError(f"{path}: {fault} has not the size of its shape; fetch it again")
    if end != data_bytes:
        raise WeightsError(
            f"{path}: should have {end} bytes of weights and has {data_bytes}; fetch it again"
        )
    return Header(path, tensors, {str(k): str(v) for k, v in metadata.items()})


def _is_sized(entry: dict[str, Any]) -> bool:
    count = 1
    for side in entry["shape"]:
        count *= int(side)
    begin, end = entry["data_offsets"]
    return bool((end - begin) * 8 == count * _DTYPE_BITS[entry["dtype"]])


def _read_gguf(path: Path) -> Header:
    try:
        import gguf  # noqa: PLC0415  # numpy, and only for those who have such a file
    except ModuleNotFoundError:
        raise WeightsError(f"{path}: is a GGUF file; pip install 'genzo[gguf]'") from None
    try:
        reader = gguf.GGUFReader(os.fspath(path))
        tensors = {
            tensor.name: TensorInfo(
                tensor.tensor_type.name, tuple(int(side) for side in reversed(tensor.shape))
            )
            for tensor in reader.tensors
        }
        field_ = reader.get_field("general.architecture")
        architecture = str(bytes(field_.parts[-1]), "utf-8") if field_ else ""
    except (ValueError, IndexError, KeyError, TypeError, OSError) as error:
        raise WeightsError(f"{path}: is no whole GGUF file ({error}); fetch it again") from None
    return Header(path, tensors, {"general.architecture": architecture}, is_gguf=True)

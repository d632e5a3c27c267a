"""The header of a safetensors file, read as a stranger's: nothing else of the file is touched.

Eight bytes of length (little-endian), that many bytes of JSON, then the tensors' data:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

_LENGTH_BYTES = 8
_DTYPE_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64,
    "F32": 32, "I32": 32, "U32": 32,
    "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8,
    "F4": 4,
}  # fmt: skip
_OTHERS = {
    (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04"): (
        "it is a pickle under another name, which could run code; fetch or convert it to "
        "safetensors"
    ),
    (b"version ",): "it is a pointer of Git LFS, not the file; fetch it with: git lfs pull",
    (b"<", b"{", b"["): (
        "it is a text, such as the error page of a download; fetch the file again"
    ),
}
"""What else is found under the name, by its first bytes."""


class UnreadableFile(Exception):
    """A file that is no usable safetensors file; the message says why, and does not name it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a file may have; safetensors itself takes headers of 100 MB."""

    header_bytes: int = 100 << 20
    file_bytes: int | None = None
    tensors: int | None = None


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor's dtype, as safetensors names it, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """The names, dtypes and shapes in one file, in its order, and the texts of its metadata."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_gguf: bool = False


def read_header(path: Path, limits: Limits) -> Header:
    """Read the header of a regular file, all of whose data must be there.

    Raises UnreadableFile when it is no safetensors file, damaged, cut short, or past the limits,
    and OSError when it cannot be read.
    """
    # A FIFO would wait for a writer for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile("it is not a regular file")
        if limits.file_bytes is not None and status.st_size > limits.file_bytes:
            raise UnreadableFile(f"its {status.st_size} bytes are above {limits.file_bytes}")
        text = _text(file, status.st_size, limits)
    data_bytes = status.st_size - _LENGTH_BYTES - len(text)
    tensors, metadata = _parse(text, data_bytes, limits)
    return Header(path, tensors, metadata)


def _text(file: BinaryIO, file_bytes: int, limits: Limits) -> bytes:
    start = file.read(_LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    is_within = len(start) == _LENGTH_BYTES and length <= file_bytes - _LENGTH_BYTES
    # Looked at first: some lengths begin like a pickle.
    if is_within and length <= limits.header_bytes:
        text = file.read(length)
        if text.startswith(b"{"):
            return text
    for beginnings, reason in _OTHERS.items():
        if start.lstrip().startswith(beginnings):
            raise UnreadableFile(reason)
    if len(start) < _LENGTH_BYTES:
        raise UnreadableFile(f"it has {len(start)} bytes only, cut short; fetch it again")
    if not is_within:
        raise UnreadableFile(
            f"it is no safetensors file, or cut short: its header should have {length} bytes, and "
            f"the file has {file_bytes}; fetch it again"
        )
    if length > limits.header_bytes:
        raise UnreadableFile(f"its header of {length} bytes is above {limits.header_bytes}")
    raise UnreadableFile("its header is not a JSON object; fetch it again")


def _parse(
    text: bytes, data_bytes: int, limits: Limits
) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableFile("its header is not JSON; fetch it again") from None
    if not isinstance(document, dict):
        raise UnreadableFile("its header is not a JSON object; fetch it again")
    metadata = document.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise UnreadableFile("its metadata is not a JSON object; fetch it again")
    if limits.tensors is not None and len(document) > limits.tensors:
        raise UnreadableFile(f"its {len(document)} tensors are above {limits.tensors}")
    tensors, end = {}, 0
    for name, entry in document.items():
        tensors[name], tensor_end = _tensor(name, entry)
        end = max(end, tensor_end)
    if end > data_bytes:
        raise UnreadableFile(
            f"it is cut short: {end} bytes of weights are described, and it has {data_bytes}; wait "
            "for the copy or fetch it again"
        )
    if end < data_bytes:
        raise UnreadableFile(
            f"it is damaged: behind its {end} bytes of weights it has {data_bytes - end} more; "
            "fetch it again"
        )
    return tensors, {name: value for name, value in metadata.items() if isinstance(value, str)}


def _tensor(name: str, entry: Any) -> tuple[TensorInfo, int]:
    """The tensor that an entry describes, and where its data end."""
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        is_whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
        bits = _DTYPE_BITS[dtype]
    except (TypeError, KeyError, ValueError):
        is_whole = False
    if not is_whole:
        raise UnreadableFile(f"its tensor {name[:80]!r} is not described as one; fetch it again")
    if (end - begin) * 8 != math.prod(shape) * bits:
        raise UnreadableFile(f"its tensor {name[:80]!r} has not the size of its shape; fetch it")
    return TensorInfo(dtype, shape), end

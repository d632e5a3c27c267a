"""The header of a safetensors file, read as a stranger's: nothing else of the file is touched.

Eight bytes of length (little-endian), that many bytes of JSON, then the tensors' data:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAX_HEADER_BYTES = 8 << 20
"""Real ones have some hundred kilobytes; one of hostile JSON takes some 25 times itself."""
MAX_FILE_BYTES = 4 << 30
MAX_TENSORS = 20_000
_LENGTH_BYTES = 8
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


class UnreadableFile(Exception):
    """A file that is no usable safetensors file; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """The tensors' shapes by their names, in the file's order, and the metadata's texts."""

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Read the header of a regular file, all of whose data must be there.

    Raises UnreadableFile when it is a pickle, no safetensors file, cut short, or past our limits,
    and OSError when it cannot be read.
    """
    # A FIFO would wait for a writer for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile("it is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise UnreadableFile(f"its {status.st_size} bytes are above {MAX_FILE_BYTES}")
        return _read(file, status.st_size)


def _read(file: BinaryIO, file_bytes: int) -> Header:
    start = file.read(_LENGTH_BYTES)
    if start.startswith(_PICKLES):
        raise UnreadableFile("it is a pickle under another name, which could run code; convert it")
    header_bytes = int.from_bytes(start, "little")
    data_bytes = file_bytes - _LENGTH_BYTES - header_bytes
    if len(start) < _LENGTH_BYTES or data_bytes < 0:
        raise UnreadableFile("it is no safetensors file, or cut short within its header")
    if header_bytes > MAX_HEADER_BYTES:
        raise UnreadableFile(f"its header of {header_bytes} bytes is above {MAX_HEADER_BYTES}")
    return _parse(file.read(header_bytes), data_bytes)


def _parse(data: bytes, data_bytes: int) -> Header:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise UnreadableFile("its header is not JSON") from None
    if not isinstance(document, dict):
        raise UnreadableFile("its header is not a JSON object")
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise UnreadableFile("its metadata is not a JSON object")
    if len(document) > MAX_TENSORS:
        raise UnreadableFile(f"its {len(document)} tensors are above {MAX_TENSORS}")
    shapes = {name: _shape(name, entry, data_bytes) for name, entry in document.items()}
    texts = {name: value for name, value in metadata.items() if isinstance(value, str)}
    return Header(shapes, texts)


def _shape(name: str, entry: Any, data_bytes: int) -> tuple[int, ...]:
    try:
        shape = tuple(entry["shape"])
        _, end = entry["data_offsets"]
        is_whole = all(type(number) is int and number >= 0 for number in (*shape, end))
    except (TypeError, KeyError, ValueError):
        is_whole = False
    if not is_whole:
        raise UnreadableFile(f"its tensor {name[:80]!r} is not described as one")
    if end > data_bytes:
        raise UnreadableFile(
            f"it is cut short: tensor {name[:80]!r} ends at byte {end} of {data_bytes}; "
            "wait for the copy or fetch it again"
        )
    return shape

"""The three formats of pictures, and a file's parts as its format lays them out.

    PNG   signature, then chunks: length (big-endian), type, data, CRC
    WebP  "RIFF", length, "WEBP", then chunks: type, length (little-endian), data, to even length
    JPEG  0xFFD8, then segments: 0xFF, marker, length (big-endian, with its own 2 bytes), data

Sources: the PNG specification (third edition), section 5; the WebP container specification and
RFC 6386, section 9.1; ITU-T T.81, annex B. Only headers are read, and no pixel is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from spool.problems import SpoolError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
_START_OF_SCAN = 0xDA
# All start-of-frame markers; C4, C8 and CC mean something else.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MAX_CHUNKS = 100_000


class PictureFormat(StrEnum):
    """A format of picture files, by its name in the configuration and in media types."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"

    @property
    def extension(self) -> str:
        """What file names end with, without the dot."""
        return "jpg" if self is PictureFormat.JPEG else self.value

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"


BY_EXTENSION = {each.extension: each for each in PictureFormat}


class NotAPicture(SpoolError):
    """A file that is neither PNG, WebP nor JPEG, or is cut short or broken."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a picture's file; `kind` is its four letters, for JPEG the marker's second byte.

    `offset` and `length`, in bytes, are those of the data behind the part's own header.
    """

    kind: bytes
    offset: int
    length: int


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The parts of `file`, seekable and read from its beginning, up to its pixels' end.

    Of a JPEG, up to its first scan. The caller may move in the file. Raises NotAPicture, also in
    the middle: a part whose length exceeds the file is found when the next one is read.
    """
    file.seek(0)
    head = file.read(12)
    if head.startswith(_PNG_SIGNATURE):
        found = _png_chunks(file)
    elif head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        found = _webp_chunks(file, 8 + struct.unpack("<I", head[4:8])[0])
    elif head.startswith(_JPEG_START):
        found = _jpeg_segments(file)
    else:
        raise NotAPicture("is neither PNG, WebP nor JPEG")
    for number, chunk in enumerate(found):
        if number >= _MAX_CHUNKS:
            raise NotAPicture(f"has more than {_MAX_CHUNKS} parts")
        yield chunk


def size_px(file: BinaryIO) -> tuple[int, int]:
    """The width and height that the header of `file` states. Raises NotAPicture."""
    for chunk in chunks(file):
        if chunk.kind == b"IHDR":
            width, height = struct.unpack(">II", read(file, chunk, 8))
            return width, height
        if chunk.kind == b"VP8X":
            # Two numbers of 24 bits, each less by one.
            canvas = read(file, chunk, 10)
            return _little(canvas[4:7]) + 1, _little(canvas[7:10]) + 1
        if chunk.kind == b"VP8L":
            bits = _little(read(file, chunk, 5)[1:])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if chunk.kind == b"VP8 ":
            width, height = struct.unpack("<6xHH", read(file, chunk, 10))
            return width & 0x3FFF, height & 0x3FFF
        if len(chunk.kind) == 1 and chunk.kind[0] in _START_OF_FRAME:
            height, width = struct.unpack(">xHH", read(file, chunk, 5))
            return width, height
    raise NotAPicture("does not state its size")


def read(file: BinaryIO, chunk: Chunk, length: int) -> bytes:
    """The first `length` bytes of a chunk. Raises NotAPicture if it has fewer."""
    if chunk.length < length:
        raise NotAPicture(f"has {chunk.length} bytes where {length} must be")
    file.seek(chunk.offset)
    return _exactly(file, length)


def _png_chunks(file: BinaryIO) -> Iterator[Chunk]:
    position = len(_PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        file.seek(position)
        length, kind = struct.unpack(">I4s", _exactly(file, 8))
        yield Chunk(kind, position + 8, length)
        position += 12 + length


def _webp_chunks(file: BinaryIO, end: int) -> Iterator[Chunk]:
    position = 12
    while position + 8 <= end:
        file.seek(position)
        kind, length = struct.unpack("<4sI", _exactly(file, 8))
        yield Chunk(kind, position + 8, length)
        position += 8 + length + length % 2


def _jpeg_segments(file: BinaryIO) -> Iterator[Chunk]:
    position = len(_JPEG_START)
    marker = 0
    while marker != _START_OF_SCAN:
        file.seek(position)
        first, marker = _exactly(file, 2)
        length = int.from_bytes(_exactly(file, 2), "big")
        # No encoder makes use of the bytes that may fill the space between two segments.
        if first != 0xFF or length < 2:
            raise NotAPicture(f"has no segment at byte {position}")
        yield Chunk(bytes([marker]), position + 4, length - 2)
        position += 2 + length


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise NotAPicture("is cut short")
    return data


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")

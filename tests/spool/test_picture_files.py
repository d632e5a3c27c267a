"""Sizes are read from real files of Pillow's, and hostile bytes are refused at once."""

from __future__ import annotations

import io
import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spool.picture_files import NotAPicture, PictureFormat, chunks, read, size_px

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "jpeg with a comment and exif": ("JPEG", {"comment": b"x" * 60_000, "exif": b"Exif\0\0MM"}),
    "lossy webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "webp with xmp": ("WEBP", {"xmp": b"<x/>"}),
    "lossless webp with xmp": ("WEBP", {"lossless": True, "xmp": b"<x/>"}),
}


def picture(variant: str, size: tuple[int, int] = (201, 64)) -> bytes:
    kind, options = VARIANTS[variant]
    file = io.BytesIO()
    Image.effect_mandelbrot(size, (-2, -1, 1, 1), 60).convert("RGB").save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(201, 64), (64, 4096), (1, 1), (2048, 3)])
def test_the_size_is_what_pillow_reads(variant: str, size: tuple[int, int]) -> None:
    assert size_px(io.BytesIO(picture(variant, size))) == size


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_parts_lie_one_behind_the_other(variant: str) -> None:
    data = picture(variant)
    parts = list(chunks(io.BytesIO(data)))
    assert parts
    for one, other in itertools.pairwise(parts):
        assert one.offset + one.length <= other.offset
    assert parts[-1].offset + parts[-1].length <= len(data)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_file_that_was_cut_short_ends_in_a_refusal_or_in_its_size(variant: str) -> None:
    data = picture(variant)
    for length in range(min(len(data), 1000)):
        file = io.BytesIO(data[:length])
        try:
            assert size_px(file) == (201, 64)
        except NotAPicture:
            assert length < 700 or "comment" in variant


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 2**32 - 1, b"IDAT"),
        b"\xff\xd8\xff\xe0\x00\x00" + b"\xff" * 100,
        b"\xff\xd8" + b"\xff" * 100_000,
        b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WEBP",
        b"RIFF\x0c\0\0\0WEBPVP8X" + struct.pack("<I", 4) + b"\0\0\0\0",
        b"RIFF\x0c\0\0\0WEBPVP8L" + struct.pack("<I", 0),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPicture):
        size_px(io.BytesIO(data))


def test_a_file_of_endless_parts_is_given_up() -> None:
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sI", 0, b"nOnE", 0) * 100_002
    with pytest.raises(NotAPicture, match="more than 100000"):
        size_px(io.BytesIO(data))


@given(st.sampled_from(list(VARIANTS)), st.data())
def test_no_bytes_end_in_another_error(variant: str, data: st.DataObject) -> None:
    damaged = bytearray(picture(variant, (33, 17)))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, min(len(damaged), 700) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    file = io.BytesIO(bytes(damaged))
    try:
        size_px(file)
        for chunk in chunks(file):
            read(file, chunk, min(chunk.length, 100))
    except NotAPicture:
        pass


@pytest.mark.parametrize("each", PictureFormat)
def test_a_formats_media_type_is_the_one_that_pillow_gives(each: PictureFormat) -> None:
    assert Image.MIME[each.value.upper()] == each.media_type

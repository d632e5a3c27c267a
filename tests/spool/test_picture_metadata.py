"""Files of other programs' and of nobody's: what is there is read, what is wrong is refused.

What our own pictures hold is read back in tests/daemon/test_pictures.py.
"""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spool.picture_files import NotAPicture
from spool.picture_metadata import MAX_BYTES, PictureMetadata, read_metadata

NOTHING = PictureMetadata(None, None)
BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b'<x xmlns:g="genzo:ns:1/"><g:Job>&b;</g:Job></x>'
)


def saved(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(file, kind, **options)
    return file.getvalue()


def read(data: bytes) -> PictureMetadata:
    return read_metadata(io.BytesIO(data))


def png(**texts: str) -> bytes:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    return saved("PNG", pnginfo=info)


def exif(comment: bytes, order: str = ">", tag: int = 0x9286) -> bytes:
    head = {">": b"MM\0*", "<": b"II*\0"}[order]
    return head + struct.pack(
        f"{order}IHHHIIIHHHIII", 8, 1, 0x8769, 4, 1, 26, 0, 1, tag, 7, len(comment), 44, 0
    ) + comment  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_a_picture_that_says_nothing_says_nothing(kind: str) -> None:
    assert read(saved(kind)) == NOTHING


def test_the_text_of_another_program_is_read() -> None:
    assert read(png(parameters="a cat\nSteps: 1")) == PictureMetadata("a cat\nSteps: 1", None)
    assert read(png(workflow="{}", prompt="{}")) == NOTHING


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_comment_is_read_whatever_the_byte_order_of_its_frame(kind: str, order: str) -> None:
    comment = b"UNICODE\0" + "猫 🐱".encode("utf-16-be")
    data = saved(kind, exif=b"Exif\0\0" + exif(comment, order))
    assert read(data).infotext == "猫 🐱"


@pytest.mark.parametrize(
    "frame",
    [
        exif(b"ASCII\0\0\0a cat"),
        exif(b"UNICODE\0\0a", tag=0x9000),
        exif(b""),
    ],
)
def test_exif_without_such_a_comment_has_no_text(frame: bytes) -> None:
    assert read(saved("WEBP", exif=frame)) == NOTHING


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b"MM", "byte order"),
        (b"MM\0*\xff\xff\xff\xff", "cut short"),
        (exif(b"UNICODE\0" + b"\0a" * 9)[:60], "cut short"),
        (exif(b"UNICODE\0\xd8\x00"), "utf-16-be"),
    ],
)
def test_broken_exif_is_refused(frame: bytes, said: str) -> None:
    with pytest.raises(NotAPicture, match=said):
        read(saved("WEBP", exif=frame))


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (BOMB, "declarations"),
        (b"<x", "cannot be read"),
        (b'<?xml version="1.0" encoding="nonsense"?><x/>', "cannot be read"),
        (b'<x xmlns:g="genzo:ns:1/"><g:Job>{</g:Job></x>', "no JSON"),
        (b'<x xmlns:g="genzo:ns:1/"><g:Job>' + b"[" * 99_999 + b"</g:Job></x>", "no JSON"),
        (
            b'<x xmlns:n="http://ns.adobe.com/xmp/note/"><n:HasExtendedXMP>00</n:HasExtendedXMP></x>',
            "parts missing",
        ),
    ],
)
def test_broken_xmp_is_refused(packet: bytes, said: str) -> None:
    with pytest.raises(NotAPicture, match=said):
        read(saved("WEBP", xmp=packet))


def test_a_record_that_is_no_object_is_none() -> None:
    assert read(png(**{"genzo.job": "[1]"})) == NOTHING


def test_a_file_that_says_too_much_of_itself_is_given_up() -> None:
    with pytest.raises(NotAPicture, match=f"more of itself than {MAX_BYTES}"):
        read(png(parameters="x" * MAX_BYTES, comment="y"))


@given(st.sampled_from(["PNG", "WEBP", "JPEG"]), st.data())
def test_no_bytes_end_in_another_error(kind: str, data: st.DataObject) -> None:
    comment = exif(b"UNICODE\0\0a")
    packet = b'<x xmlns:g="genzo:ns:1/"><g:Job>{"a":1}</g:Job></x>'
    whole = {
        "PNG": png(parameters="a", **{"genzo.job": '{"a":1}'}),
        "WEBP": saved("WEBP", exif=comment, xmp=packet),
        "JPEG": saved("JPEG", exif=b"Exif\0\0" + comment, xmp=packet),
    }[kind]
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    with contextlib.suppress(NotAPicture):
        read(bytes(damaged))

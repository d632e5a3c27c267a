"""What a picture's file says of itself, read back without decoding a pixel.

    PNG    text chunks: `parameters` (the A1111 text), `genzo.job` (our record, JSON)
    WebP   EXIF: UserComment (the A1111 text); XMP: the property Job of our namespace (our record)
    JPEG   as WebP; a record that one XMP segment cannot hold is in the extended XMP

`daemon.metadata` writes what is read here. A file may be anyone's: nothing in it is trusted, and
what is longer than MAX_BYTES is not read. Sources: the PNG specification (third edition), 11.3;
Exif 2.32, 4.6.5; XMP specification, part 3, 1.1.3.1.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from xml.etree import ElementTree

from spool.picture_files import Chunk, NotAPicture, chunks, read

INFOTEXT_KEYWORD = "parameters"
JOB_KEYWORD = "genzo.job"
XMP_NAMESPACE = "genzo:ns:1/"
XMP_JOB = "Job"
XMP_NOTE_NAMESPACE = "http://ns.adobe.com/xmp/note/"
XMP_EXTENDED = "HasExtendedXMP"
EXIF_SIGNATURE = b"Exif\0\0"
XMP_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP_SIGNATURE = b"http://ns.adobe.com/xmp/extension/\0"
UNICODE_COMMENT = b"UNICODE\0"
MAX_BYTES = 4 << 20

_APP1 = b"\xe1"
_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286


@dataclass(frozen=True, slots=True)
class PictureMetadata:
    """The A1111 text and our own record, each None where the file has none.

    A JPEG's text may be shortened; the record is always whole.
    """

    infotext: str | None
    job: dict[str, Any] | None


def read_metadata(file: BinaryIO) -> PictureMetadata:
    """What `file`, seekable, says of itself. Raises NotAPicture."""
    infotext = packet = None
    job: str | None = None
    extension: list[bytes] = []
    for chunk, data in _metadata_chunks(file):
        if chunk.kind in {b"tEXt", b"iTXt"}:
            keyword, text = _png_text(chunk.kind, data)
            if keyword == INFOTEXT_KEYWORD:
                infotext = text
            elif keyword == JOB_KEYWORD:
                job = text
        elif data.startswith(XMP_SIGNATURE) or chunk.kind == b"XMP ":
            packet = data.removeprefix(XMP_SIGNATURE)
        elif data.startswith(EXTENDED_XMP_SIGNATURE):
            extension.append(data.removeprefix(EXTENDED_XMP_SIGNATURE))
        elif data.startswith(EXIF_SIGNATURE) or chunk.kind == b"EXIF":
            infotext = _user_comment(data.removeprefix(EXIF_SIGNATURE))
    if packet is not None and job is None:
        job = _job_in_xmp(packet, extension)
    return PictureMetadata(infotext, _decoded(job))


def _metadata_chunks(file: BinaryIO) -> Iterator[tuple[Chunk, bytes]]:
    left = MAX_BYTES
    for chunk in chunks(file):
        if chunk.kind in {b"tEXt", b"iTXt", b"EXIF", b"XMP ", _APP1}:
            left -= chunk.length
            if left < 0:
                raise NotAPicture(f"says more of itself than {MAX_BYTES} bytes")
            yield chunk, read(file, chunk, chunk.length)


def _png_text(kind: bytes, data: bytes) -> tuple[str, str]:
    """Keyword and text of a chunk; the text is empty where it is compressed, as ours never is."""
    keyword, _, text = data.partition(b"\0")
    if kind == b"tEXt":
        return keyword.decode("latin-1"), text.decode("latin-1")
    if text[:1] != b"\0":
        return keyword.decode("latin-1"), ""
    _language, _, rest = text[2:].partition(b"\0")
    _translated, _, content = rest.partition(b"\0")
    return keyword.decode("latin-1"), _utf(content, "utf-8")


def _user_comment(tiff: bytes) -> str | None:
    """The UserComment in EXIF, if it is text in Unicode."""
    order = {b"MM\0*": ">", b"II*\0": "<"}.get(tiff[:4])
    try:
        if order is None:
            raise NotAPicture("has EXIF of no byte order")
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        pointer = _entry(tiff, order, first, _EXIF_IFD)
        entry = pointer and _entry(tiff, order, pointer[1], _USER_COMMENT)
    except struct.error:
        raise NotAPicture("has EXIF that is cut short") from None
    if not entry:
        return None
    length, offset = entry
    comment = tiff[offset : offset + length]
    if len(comment) != length:
        raise NotAPicture("has EXIF that is cut short")
    if not comment.startswith(UNICODE_COMMENT):
        return None
    # Big-endian whatever the order of the rest: so do A1111 and all that read it.
    return _utf(comment.removeprefix(UNICODE_COMMENT), "utf-16-be")


def _entry(tiff: bytes, order: str, offset: int, tag: int) -> tuple[int, int] | None:
    """Count and value of the entry `tag` in the directory at `offset`, if it is there."""
    (entries,) = struct.unpack_from(f"{order}H", tiff, offset)
    for number in range(entries):
        found, count, value = struct.unpack_from(f"{order}H2xII", tiff, offset + 2 + 12 * number)
        if found == tag:
            return count, value
    return None


def _job_in_xmp(packet: bytes, extension: list[bytes]) -> str | None:
    root = _xml(packet)
    job = root.findtext(f".//{{{XMP_NAMESPACE}}}{XMP_JOB}")
    digest = root.findtext(f".//{{{XMP_NOTE_NAMESPACE}}}{XMP_EXTENDED}")
    if job is None and digest is not None:
        whole = _joined(extension, digest)
        job = _xml(whole).findtext(f".//{{{XMP_NAMESPACE}}}{XMP_JOB}")
    return job


def _joined(segments: list[bytes], digest: str) -> bytes:
    """The extended XMP of this MD5: each segment is digest, whole length, its offset and a part."""
    head = struct.Struct(">32sII")
    try:
        parts = sorted((head.unpack_from(segment)[2], segment[head.size :]) for segment in segments)
    except struct.error:
        raise NotAPicture("has extended XMP that is cut short") from None
    whole = b"".join(part for _, part in parts)
    if hashlib.md5(whole, usedforsecurity=False).hexdigest().upper() != digest.upper():
        raise NotAPicture("has extended XMP with parts missing or changed")
    return whole


def _xml(packet: bytes) -> ElementTree.Element:
    if b"<!" in packet:  # entities could grow without end, and no packet needs them
        raise NotAPicture("has XMP with declarations")
    try:
        return ElementTree.fromstring(packet)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise NotAPicture(f"has XMP that cannot be read: {error}") from None


def _decoded(job: str | None) -> dict[str, Any] | None:
    try:
        document = None if job is None else json.loads(job)
    except (ValueError, RecursionError) as error:
        raise NotAPicture(f"has a record that is no JSON: {error}") from None
    return document if isinstance(document, dict) else None


def _utf(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotAPicture(f"has text that is not {encoding}: {error}") from None

"""What a picture's file says of itself, as its format holds it: EXIF, XMP and canonical JSON.

`spool.picture_metadata` reads it back. Sources: XMP is ISO 16684-1, its extension in JPEG the XMP
specification, part 3, 1.1.3.1; EXIF is Exif 2.32; the digital source type is IPTC's, from its
NewsCodes.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from PIL import ExifTags

from spool.picture_metadata import (
    EXIF_SIGNATURE,
    EXTENDED_XMP_SIGNATURE,
    UNICODE_COMMENT,
    XMP_EXTENDED,
    XMP_JOB,
    XMP_NAMESPACE,
    XMP_NOTE_NAMESPACE,
    XMP_SIGNATURE,
)

MAX_SEGMENT_BYTES = 65_533
"""What a segment of a JPEG holds at most."""
# Header, first directory, Exif directory: each tag, type, count, value; then where the next is.
_TIFF = struct.Struct(">2sHIHHHIIIHHHI4sHHIII")
_LONG, _UNDEFINED = 4, 7
_FRAME_BYTES = len(EXIF_SIGNATURE) + _TIFF.size + len(UNICODE_COMMENT)
MAX_SEGMENT_UNITS = (MAX_SEGMENT_BYTES - _FRAME_BYTES) // 2
"""How long a text, in units of UTF-16, EXIF in one segment may be."""

_IPTC = (
    '<rdf:Description rdf:about=""'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    "<Iptc4xmpExt:DigitalSourceType>"
    "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    "</Iptc4xmpExt:DigitalSourceType>"
    "</rdf:Description>"
)
# Not in XML 1.0. In JSON they stand within strings only, where they may be escaped.
_NOT_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")


def canonical_json(document: Mapping[str, object]) -> str:
    """`document` as JSON, the same for equal ones. Raises ValueError or TypeError if it is none."""
    text = json.dumps(
        document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def exif(text: str) -> bytes:
    """EXIF with `text` in UserComment: marked as Unicode, in UTF-16 big-endian, as A1111 does it.

    The rest is big-endian too, for readers that take its order for the text's own. Neither Model
    nor any tag that need not be: readers stumble over them.
    """
    comment = UNICODE_COMMENT + text.encode("utf-16-be")
    head = (b"MM", 42, 8)
    first = (1, ExifTags.IFD.Exif, _LONG, 1, 26, 0)
    version = (ExifTags.Base.ExifVersion, _UNDEFINED, 4, b"0232")
    ours = (ExifTags.Base.UserComment, _UNDEFINED, len(comment), _TIFF.size)
    return EXIF_SIGNATURE + _TIFF.pack(*head, *first, 2, *version, *ours, 0) + comment


def xmp(job: str = "") -> bytes:
    """An XMP packet that marks the picture as made by a trained model, with our record `job`."""
    return _packet(_IPTC + (_job(job) if job else ""))


def xmp_segments(job: str) -> Iterator[bytes]:
    """The same as segments of a JPEG; a record that does not fit into one goes into the extension.

    The extension is known by its MD5, and cut into segments that each say their place in it.
    """
    packet = xmp(job)
    if len(XMP_SIGNATURE) + len(packet) <= MAX_SEGMENT_BYTES:
        yield _app1(XMP_SIGNATURE + packet)
        return
    whole = _rdf(_job(job)).encode()
    digest = hashlib.md5(whole, usedforsecurity=False).hexdigest().upper()
    note = (
        f'<rdf:Description rdf:about="" xmlns:xmpNote="{XMP_NOTE_NAMESPACE}">'
        f"<xmpNote:{XMP_EXTENDED}>{digest}</xmpNote:{XMP_EXTENDED}></rdf:Description>"
    )
    yield _app1(XMP_SIGNATURE + _packet(_IPTC + note))
    head = EXTENDED_XMP_SIGNATURE + digest.encode()
    room = MAX_SEGMENT_BYTES - len(head) - 8
    for offset in range(0, len(whole), room):
        place = struct.pack(">II", len(whole), offset)
        yield _app1(head + place + whole[offset : offset + room])


def _job(job: str) -> str:
    name = f"genzo:{XMP_JOB}"
    return (
        f'<rdf:Description rdf:about="" xmlns:genzo="{XMP_NAMESPACE}">'
        f"<{name}>{escape(job)}</{name}></rdf:Description>"
    )


def _packet(descriptions: str) -> bytes:
    # The byte order mark and the id are constants of the format.
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    return f'{begin}{_rdf(descriptions)}<?xpacket end="w"?>'.encode()


def _rdf(descriptions: str) -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f"{descriptions}</rdf:RDF></x:xmpmeta>"
    )


def _app1(data: bytes) -> bytes:
    return b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data

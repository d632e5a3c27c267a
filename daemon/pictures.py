"""Pictures and thumbnails as bytes: PNG, WebP or JPEG with what made it, and WebP."""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from daemon.infotext import Infotext
from daemon.metadata import MAX_SEGMENT_UNITS, canonical_json, exif, xmp, xmp_segments
from spool.picture_files import PictureFormat, chunks
from spool.picture_metadata import INFOTEXT_KEYWORD, JOB_KEYWORD
from spool.settings import OutputSettings

MAX_THUMBNAIL_PX = 384


def encode_picture(
    image: Image.Image, output: OutputSettings, infotext: Infotext, private: Mapping[str, object]
) -> bytes:
    """The image in the configured format, with what made it; equal input gives equal bytes.

    `infotext` is told where A1111 has it, for others to read; `private`, as canonical JSON, is our
    own record; and the picture is marked as made by a trained model. Raises ValueError or
    TypeError when `private` is not JSON.
    """
    job = canonical_json(private)
    match output.format:
        case PictureFormat.PNG:
            return _png(image, str(infotext), job)
        case PictureFormat.WEBP:
            return _webp(image, output, str(infotext), job)
        case PictureFormat.JPEG:
            # A segment is too short for two long prompts.
            return _jpeg(image, output, str(infotext.within(MAX_SEGMENT_UNITS)), job)


def encode_thumbnail(image: Image.Image) -> bytes:
    """The image as a WebP of quality 80, its longest side at most 384 pixels."""
    small = image.convert("RGB")
    small.thumbnail((MAX_THUMBNAIL_PX, MAX_THUMBNAIL_PX), Image.Resampling.LANCZOS)
    # Method 4 makes the file 5 % smaller and takes three times as long.
    return _saved(small, "WEBP", quality=80, method=2)


def _png(image: Image.Image, infotext: str, job: str) -> bytes:
    # No EXIF: readers prefer it to the text chunk or stumble over it.
    texts = PngInfo()
    texts.add_text(INFOTEXT_KEYWORD, infotext)
    texts.add_itxt(JOB_KEYWORD, job)
    texts.add_itxt("XML:com.adobe.xmp", xmp().decode())
    # Level 1 costs a few percent of size and saves most of the time.
    return _saved(image, "PNG", compress_level=1, pnginfo=texts)


def _webp(image: Image.Image, output: OutputSettings, infotext: str, job: str) -> bytes:
    # Lossless, method 1 makes the file a third smaller than a PNG in three times its time, and
    # more effort hardly less; there `quality` is effort. Lossy, method 2 takes half a PNG's time.
    how = (
        {"lossless": True, "quality": 25, "method": 1}
        if output.lossless
        else {"quality": output.quality, "method": 2}
    )
    return _saved(image, "WEBP", exif=exif(infotext), xmp=xmp(job), **how)


def _jpeg(image: Image.Image, output: OutputSettings, infotext: str, job: str) -> bytes:
    # Without subsampling, which would blur red lines; a file of a quarter more bytes.
    data = _saved(
        image, "JPEG", quality=output.quality, subsampling=0, optimize=True, exif=exif(infotext)
    )
    # The marks of JFIF and EXIF come first, and XMP behind them.
    first = next(each for each in chunks(io.BytesIO(data)) if each.kind not in {b"\xe0", b"\xe1"})
    place = first.offset - 4
    return data[:place] + b"".join(xmp_segments(job)) + data[place:]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()

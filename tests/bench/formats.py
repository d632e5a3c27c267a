"""What the formats of pictures cost: time and bytes, each against a PNG of the same picture."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from daemon.infotext import Infotext
from daemon.pictures import encode_picture
from spool.picture_files import PictureFormat
from spool.settings import OutputSettings
from tests.bench.statistics import median_interval

_PICTURES = Path(__file__).parents[2] / "docs" / "embedded-model-held-out.png"
_TURNS = 7
_OUTPUTS = {
    "WebP": OutputSettings(format=PictureFormat.WEBP),
    "lossless WebP": OutputSettings(format=PictureFormat.WEBP, lossless=True),
    "JPEG": OutputSettings(format=PictureFormat.JPEG),
}


def costs() -> Iterator[tuple[str, float, float]]:
    """Each format's name, its share of a PNG's time (median of seven turns), and of its bytes."""
    with Image.open(_PICTURES) as file:
        image = file.convert("RGB")
    for name, output in _OUTPUTS.items():
        times, sizes = [], []
        for _ in range(_TURNS):
            (png_seconds, png_bytes), (seconds, size) = (
                _encoded(image, each) for each in (OutputSettings(), output)
            )
            times.append(seconds / png_seconds)
            sizes.append(size / png_bytes)
        yield name, median_interval(times)[1], sizes[0]


def _encoded(image: Image.Image, output: OutputSettings) -> tuple[float, int]:
    text = Infotext("a red circle", "", "Steps: 20")
    # Processor time: it is what the work behind the GPU takes from the rest.
    started = time.process_time()
    data = encode_picture(image, output, text, {"prompt": "a red circle"})
    return time.process_time() - started, len(data)

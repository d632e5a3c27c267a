"""Pictures carry what made them, for us and for others, and nothing that trips readers."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageChops

from daemon.pictures import encode_png, encode_thumbnail

PRIVATE = {"seed": 2**53 - 1, "prompt": "猫\n🐱", "job": {"b": 1.5, "a": None}}


@pytest.fixture
def picture() -> Image.Image:
    return Image.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 60).convert("RGB")


def reopen(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_a_png_holds_the_very_pixels(picture: Image.Image) -> None:
    image = reopen(encode_png(picture, "x", {}))
    assert image.format == "PNG"
    assert ImageChops.difference(image, picture).getbbox() is None


@pytest.mark.parametrize("text", ["a cat\nSteps: 1", "naïve 猫 🐱\nSteps: 1", "é\u200b"])
def test_the_infotext_is_read_back(picture: Image.Image, text: str) -> None:
    assert reopen(encode_png(picture, text, {})).info["parameters"] == text


def test_the_private_record_is_canonical_json(picture: Image.Image) -> None:
    chunk = reopen(encode_png(picture, "x", PRIVATE)).info["genzo.job"]
    assert json.loads(chunk) == PRIVATE
    assert chunk == '{"job":{"a":null,"b":1.5},"prompt":"猫\\n🐱","seed":9007199254740991}'


def test_a_private_record_that_is_not_json_is_refused(picture: Image.Image) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_png(picture, "x", {"guidance_scale": float("nan")})


def test_the_picture_is_marked_as_made_by_a_trained_model(picture: Image.Image) -> None:
    packet = reopen(encode_png(picture, "x", {})).info["XML:com.adobe.xmp"]
    root = ElementTree.fromstring(packet)
    (source,) = root.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert source.text == ("http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia")


def test_there_is_no_exif_and_no_chunk_of_another_program(picture: Image.Image) -> None:
    image = reopen(encode_png(picture, "x", PRIVATE))
    assert not image.getexif()
    assert set(image.info) == {"parameters", "genzo.job", "XML:com.adobe.xmp", "xmp"}


def test_equal_input_gives_equal_bytes(picture: Image.Image) -> None:
    backwards = dict(reversed(PRIVATE.items()))
    assert encode_png(picture, "x", PRIVATE) == encode_png(picture.copy(), "x", backwards)
    assert encode_thumbnail(picture) == encode_thumbnail(picture.copy())


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1024, 1024), (384, 384)), ((1024, 512), (384, 192)), ((64, 64), (64, 64))],
)
def test_a_thumbnail_is_a_webp_of_at_most_384_pixels(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = reopen(encode_thumbnail(Image.new("RGB", size, "red")))
    assert image.format == "WEBP"
    assert image.size == expected

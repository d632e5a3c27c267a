"""Pictures carry what made them, for us and for others, and nothing that trips readers."""

from __future__ import annotations

import io
from itertools import chain
from xml.etree import ElementTree

import pytest
from PIL import ExifTags, Image, ImageChops, ImageStat

from daemon.infotext import Infotext
from daemon.metadata import MAX_SEGMENT_UNITS, exif
from daemon.pictures import encode_picture, encode_thumbnail
from spool.picture_files import PictureFormat, chunks
from spool.picture_metadata import PictureMetadata, read_metadata
from spool.settings import OutputSettings

OUTPUTS = [
    *(OutputSettings(format=each) for each in PictureFormat),
    OutputSettings(format=PictureFormat.WEBP, lossless=True),
]
every_output = pytest.mark.parametrize("output", OUTPUTS, ids=repr)
LOSSY = [PictureFormat.WEBP, PictureFormat.JPEG]
TEXT = Infotext("naïve 猫 🐱\n<&>\u200b", "", "Steps: 1, Sampler: Euler, Seed: 3")
PRIVATE: dict[str, object] = {
    "seed": 2**53 - 1,
    "prompt": "猫\n🐱 <&>]]>\x01\x7f\x85\u2028\ufffe\"'",
    "job": {"b": 1.5, "a": None},
}


@pytest.fixture
def picture() -> Image.Image:
    return Image.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 60).convert("RGB")


def encode(
    picture: Image.Image,
    output: OutputSettings,
    text: Infotext = TEXT,
    private: dict[str, object] = PRIVATE,
) -> bytes:
    return encode_picture(picture, output, text, private)


def reopen(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def xmp_of(image: Image.Image) -> ElementTree.Element:
    packet = image.info["xmp"]
    return ElementTree.fromstring(packet)


def user_comment(image: Image.Image) -> bytes:
    comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert isinstance(comment, bytes)
    return comment


@every_output
def test_a_file_is_of_its_format_and_shows_the_picture(
    picture: Image.Image, output: OutputSettings
) -> None:
    image = reopen(encode(picture, output))
    assert image.format == output.format.upper()
    difference = ImageChops.difference(image.convert("RGB"), picture)
    if output.lossless or output.format is PictureFormat.PNG:
        assert difference.getbbox() is None
    else:
        assert max(ImageStat.Stat(difference).rms) < 16


@pytest.mark.parametrize("each", LOSSY)
def test_more_quality_is_more_bytes_and_less_difference(
    picture: Image.Image, each: PictureFormat
) -> None:
    low, high = (
        encode(picture, OutputSettings(format=each, quality=quality)) for quality in (30, 98)
    )
    assert len(low) < len(high)
    rms = [
        max(ImageStat.Stat(ImageChops.difference(reopen(data).convert("RGB"), picture)).rms)
        for data in (low, high)
    ]
    assert rms[0] > rms[1]


@every_output
def test_text_and_record_are_read_back(picture: Image.Image, output: OutputSettings) -> None:
    read = read_metadata(io.BytesIO(encode(picture, output)))
    assert read == PictureMetadata(str(TEXT), PRIVATE)


@pytest.mark.parametrize("text", ["a cat\nSteps: 1", "naïve 猫 🐱\nSteps: 1", "é\u200b"])
def test_a_png_has_the_text_where_a1111_has_it(picture: Image.Image, text: str) -> None:
    image = reopen(encode(picture, OUTPUTS[0], Infotext(text, "", "Steps: 1")))
    assert image.info["parameters"] == f"{text}\nSteps: 1"
    assert not image.getexif()
    assert set(image.info) == {"parameters", "genzo.job", "XML:com.adobe.xmp", "xmp"}


@pytest.mark.parametrize("each", LOSSY)
def test_webp_and_jpeg_have_the_text_in_the_user_comment(
    picture: Image.Image, each: PictureFormat
) -> None:
    image = reopen(encode(picture, OutputSettings(format=each)))
    assert user_comment(image) == b"UNICODE\0" + str(TEXT).encode("utf-16-be")
    assert set(image.getexif()) == {ExifTags.IFD.Exif}
    assert image.info["exif"].removeprefix(b"Exif\0\0").startswith(b"MM\0*")


def test_the_private_record_of_a_png_is_canonical_json(picture: Image.Image) -> None:
    private: dict[str, object] = {"seed": 3, "prompt": "猫\n", "job": {"b": 1.5, "a": None}}
    chunk = reopen(encode(picture, OUTPUTS[0], private=private)).info["genzo.job"]
    assert chunk == '{"job":{"a":null,"b":1.5},"prompt":"猫\\n","seed":3}'


@every_output
def test_a_private_record_that_is_not_json_is_refused(
    picture: Image.Image, output: OutputSettings
) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(picture, output, private={"guidance_scale": float("nan")})


@every_output
def test_the_picture_is_marked_as_made_by_a_trained_model(
    picture: Image.Image, output: OutputSettings
) -> None:
    root = xmp_of(reopen(encode(picture, output)))
    (source,) = root.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert source.text == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@every_output
def test_equal_input_gives_equal_bytes(picture: Image.Image, output: OutputSettings) -> None:
    backwards = dict(reversed(PRIVATE.items()))
    assert encode(picture, output) == encode(picture.copy(), output, private=backwards)
    assert encode_thumbnail(picture) == encode_thumbnail(picture.copy())


@every_output
@pytest.mark.parametrize("letter", ["a", "&", "猫", "🐱"])
def test_prompts_as_long_as_they_may_be_fit_into_every_format(
    picture: Image.Image, output: OutputSettings, letter: str
) -> None:
    prompt = letter * 20_000
    text = Infotext(prompt, prompt, TEXT.values)
    private: dict[str, object] = {f"{number}": prompt for number in range(5)}
    data = encode(picture, output, text, private)
    assert reopen(data).size == picture.size
    assert xmp_of(reopen(data)) is not None
    read = read_metadata(io.BytesIO(data))
    assert read.job == private
    assert read.infotext is not None
    assert read.infotext.endswith(f"\n{TEXT.values}")
    if output.format is not PictureFormat.JPEG:
        assert read.infotext == str(text)
    else:
        assert len(read.infotext.encode("utf-16-be")) // 2 <= MAX_SEGMENT_UNITS
        one, other, _ = read.infotext.split("\n")
        other = other.removeprefix("Negative prompt: ")
        assert one == other
        assert set(one) == {letter, "…"}
        assert len(one.encode("utf-16-be")) > MAX_SEGMENT_UNITS * 0.98


@pytest.mark.parametrize("excess", range(-200, 3, 7))
def test_a_record_just_too_long_for_one_segment_goes_into_several(
    picture: Image.Image, excess: int
) -> None:
    private: dict[str, object] = {"prompt": "x" * (65_000 + excess)}
    data = encode(picture, OUTPUTS[2], private=private)
    assert read_metadata(io.BytesIO(data)).job == private
    assert xmp_of(reopen(data)) is not None


def test_the_longest_text_fills_one_segment_of_exif() -> None:
    assert 65_400 < len(exif("x" * MAX_SEGMENT_UNITS)) <= 65_533


def test_a_jpegs_marks_come_before_its_xmp_and_its_tables_behind(picture: Image.Image) -> None:
    data = encode(picture, OUTPUTS[2], private={"prompt": "x" * 200_000})
    kinds = [chunk.kind for chunk in chunks(io.BytesIO(data))]
    marks = [kind for kind in kinds if kind in {b"\xe0", b"\xe1"}]
    assert kinds[: len(marks)] == marks
    assert marks == [b"\xe0", *[b"\xe1"] * (len(marks) - 1)]
    assert len(marks) == 2 + 1 + 4
    bodies = chain.from_iterable(data.split(b"http://ns.adobe.com/xmp/extension/\0")[1:])
    assert len(list(bodies)) > 200_000


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

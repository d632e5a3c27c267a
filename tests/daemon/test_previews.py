"""Previews resemble the picture, are small, and are cheap."""

from __future__ import annotations

import io
import time

import pytest
import torch
from PIL import Image, ImageDraw

from daemon.previews import Projection, encode_preview, fit_projection


def halve(pictures: torch.Tensor) -> torch.Tensor:
    """An encoder that a linear map can undo: channels mixed, pixels averaged 8 to 1."""
    mixed = torch.stack([pictures[:, 0] - pictures[:, 1], pictures.sum(1), pictures[:, 2] / 2], 1)
    return torch.nn.functional.avg_pool2d(mixed, 8) + 0.5


@pytest.fixture(scope="module")
def projection() -> Projection:
    return fit_projection(halve, 8)


def test_a_linear_encoder_is_undone(projection: Projection) -> None:
    colour = torch.tensor([0.5, -0.5, 0.25]).view(1, 3, 1, 1)
    preview = projection.project(halve(colour.expand(1, 3, 64, 64)))
    assert preview is not None
    assert preview.getpixel((32, 32)) == (191, 64, 159)


@pytest.mark.parametrize(
    ("latents", "expected"),
    [((8, 8), (64, 64)), ((128, 128), (512, 512)), ((96, 48), (256, 512)), ((64, 160), (512, 205))],
)
def test_a_preview_is_as_long_as_the_picture_but_at_most_512(
    projection: Projection, latents: tuple[int, int], expected: tuple[int, int]
) -> None:
    preview = projection.project(torch.zeros(1, 3, *latents))
    assert preview is not None
    assert preview.size == expected


def test_what_is_not_finite_has_no_preview(projection: Projection) -> None:
    latents = torch.zeros(1, 3, 8, 8)
    latents[0, 0, 0, 0] = float("nan")
    assert projection.project(latents) is None


def test_half_precision_latents_are_projected(projection: Projection) -> None:
    assert projection.project(torch.zeros(1, 3, 8, 8, dtype=torch.float16)) is not None


def test_fitting_again_gives_the_same(projection: Projection) -> None:
    again = fit_projection(halve, 8)
    assert torch.allclose(again.weights, projection.weights, atol=1e-4)


def test_an_encoded_preview_is_a_jpeg_of_at_most_512_pixels() -> None:
    with Image.open(io.BytesIO(encode_preview(Image.new("RGB", (1024, 768), "red")))) as image:
        assert image.format == "JPEG"
        assert image.size == (512, 384)
        red, green, blue = image.convert("RGB").getpixel((256, 192))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 15


def test_a_small_preview_keeps_its_size() -> None:
    with Image.open(io.BytesIO(encode_preview(Image.new("RGB", (64, 96))))) as image:
        assert image.size == (64, 96)


def test_a_preview_of_a_large_picture_costs_a_few_milliseconds(projection: Projection) -> None:
    picture = Image.new("RGB", (1024, 1024), "white")
    ImageDraw.Draw(picture).ellipse((200, 200, 800, 800), "red")
    latents = torch.randn(1, 3, 128, 128)
    assert fastest_seconds(lambda: encode_preview(picture)) < 0.02
    assert fastest_seconds(lambda: projection.project(latents)) < 0.02


def fastest_seconds(work: object) -> float:
    assert callable(work)
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)

"""What is no picture is not published as one, and what is one looks alike, in every format.

The models are damaged for real: their files hold zeros, or values that are not numbers.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL.Image import open as open_image

from daemon.families import ModelSpec
from spool.gallery import PictureName, newest_first
from spool.layout import Spool
from spool.picture_files import PictureFormat
from spool.records import Record
from spool.settings import OutputSettings, Settings
from spool.states import Status
from tests.daemon.slots import record_of, running_slot, submit
from tests.daemon.test_sdxl import multiply

every_format = pytest.mark.parametrize("each", PictureFormat)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def damaged(spec: ModelSpec, folder: Path, factor: float) -> ModelSpec:
    """A copy of a model, the last weights of its VAE multiplied."""
    shutil.copytree(spec.weights, folder)
    multiply(folder / "vae/diffusion_pytorch_model.safetensors", "decoder.conv_out.weight", factor)
    return replace(spec, weights=folder)


def rendered(spool: Spool, spec: ModelSpec, each: PictureFormat) -> Record:
    settings = Settings(output=OutputSettings(format=each))
    with running_slot(spool, spec, settings=settings):
        return record_of(spool, submit(spool, seed=5))


@every_format
def test_a_picture_that_is_not_finite_fails_its_job_and_is_published_nowhere(
    spool: Spool, tiny_spec: ModelSpec, tmp_path: Path, each: PictureFormat
) -> None:
    record = rendered(spool, damaged(tiny_spec, tmp_path / "nan", float("nan")), each)
    assert (record.status, record.images) == (Status.FAILED, ())
    assert record.error is not None
    assert "not finite, even in float32" in record.error["detail"]
    assert list(newest_first(spool)) == []


@every_format
def test_a_picture_of_one_colour_is_published_with_a_warning(
    spool: Spool, tiny_spec: ModelSpec, tmp_path: Path, each: PictureFormat
) -> None:
    record = rendered(spool, damaged(tiny_spec, tmp_path / "zero", 0.0), each)
    assert record.status is Status.COMPLETED
    (warning,) = record.warnings
    assert warning.startswith("picture 0 has one colour only")
    (name,) = newest_first(spool)
    with open_image(name.picture(spool)) as image:
        assert image.format == each.upper()


def test_a_thumbnail_is_the_same_whatever_the_format(tmp_path: Path, tiny_spec: ModelSpec) -> None:
    thumbnails = set()
    for each in PictureFormat:
        spool = Spool.create(tmp_path / each)
        (image,) = rendered(spool, tiny_spec, each).images
        name = PictureName.parse(image.filename)
        assert name is not None
        assert name.format is each
        thumbnails.add(name.thumbnail(spool).read_bytes())
    assert len(thumbnails) == 1

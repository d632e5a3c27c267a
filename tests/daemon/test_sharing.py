"""One T5 in memory for FLUX and Chroma, one Qwen for two Z-Images, where the files are equal."""

from __future__ import annotations

import gc
import os
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.families import Model, ModelSpec, load
from daemon.models import Models
from daemon.warm import resident_bytes
from tests.daemon.flow_pictures import job, render
from tests.models.original_files import save_clip_l, save_t5xxl, save_transformer, save_vae
from tests.models.shelf import Shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def split(shelf: Shelf, tmp_path: Path) -> list[ModelSpec]:
    """FLUX and Chroma in split files, with one T5 file for both."""
    t5 = save_t5xxl(shelf.flux_dev, tmp_path / "t5xxl.safetensors")
    vae = save_vae(shelf.flux_dev, tmp_path / "ae.safetensors")
    flux = ModelSpec(
        "flux", "flux", save_transformer(shelf.flux_dev, tmp_path / "flux.safetensors"),
        config=shelf.flux_dev, tokenizer=shelf.flux_dev, device="cpu", vae=vae,
        text_encoder=save_clip_l(shelf.flux_dev, tmp_path / "clip.safetensors"),
        text_encoder_2=t5,
    )  # fmt: skip
    chroma = ModelSpec(
        "chroma", "chroma", save_transformer(shelf.chroma, tmp_path / "chroma.safetensors"),
        config=shelf.chroma, tokenizer=shelf.chroma, device="cpu", vae=vae, text_encoder=t5,
    )  # fmt: skip
    return [flux, chroma]


def t5_of(model: Model) -> Any:
    pipeline: Any = model._pipeline  # type: ignore[attr-defined]
    return pipeline.text_encoder_2 if model.spec.family == "flux" else pipeline.text_encoder


def test_flux_and_chroma_have_one_t5_where_they_name_one_file(split: list[ModelSpec]) -> None:
    alone = []
    for spec in split:
        model = load(spec)
        alone.append((render(model, job()).tobytes(), resident_bytes([model])))
        del model
        gc.collect()
    flux, chroma = (load(spec) for spec in split)
    assert t5_of(flux) is t5_of(chroma)
    t5_bytes = sum(parameter.nbytes for parameter in t5_of(flux).parameters())
    together = resident_bytes([flux, chroma])
    assert together == alone[0][1] + alone[1][1] - t5_bytes
    for model, (picture, _) in zip((flux, chroma), alone, strict=True):
        assert render(model, job()).tobytes() == picture


@pytest.mark.parametrize("vram", ["full", "balanced", "low"])
def test_models_that_share_take_turns_whatever_the_profile(
    split: list[ModelSpec], vram: str
) -> None:
    expected = {spec.name: render(load(spec), job()).tobytes() for spec in split}
    models = Models([replace(spec, vram=vram) for spec in split])
    for name in ("flux", "chroma") * 3:
        assert render(models.load(name), job()).tobytes() == expected[name]
    assert t5_of(models.load("flux")) is t5_of(models.load("chroma"))


def test_a_model_that_was_dropped_while_it_rendered_leaves_a_sound_t5(
    split: list[ModelSpec],
) -> None:
    chroma = load(split[1])
    expected = render(chroma, job()).tobytes()
    chroma.park()
    flux = load(replace(split[0], vram="balanced"))
    flux.wake()
    assert hasattr(t5_of(chroma), "_hf_hook")
    del flux
    gc.collect()
    assert render(chroma, job()).tobytes() == expected
    assert not hasattr(t5_of(chroma), "_hf_hook")


def test_folders_share_what_is_the_same_by_content_or_by_link(shelf: Shelf, tmp_path: Path) -> None:
    folders = [tmp_path / "copy", tmp_path / "link", tmp_path / "other"]
    for folder in folders:
        shutil.copytree(shelf.zimage_turbo, folder)
    file = "text_encoder/model.safetensors"
    (folders[1] / file).unlink()
    os.link(shelf.zimage_turbo / file, folders[1] / file)
    changed = bytearray((folders[2] / file).read_bytes())
    changed[-1] ^= 1
    (folders[2] / file).write_bytes(changed)
    models = [
        load(ModelSpec("z", "zimage", folder, device="cpu"))
        for folder in (shelf.zimage_turbo, *folders)
    ]
    encoders: list[Any] = [model._pipeline.text_encoder for model in models]  # type: ignore[attr-defined]
    assert encoders[0] is encoders[1] is encoders[2]
    assert encoders[3] is not encoders[0]
    half = load(ModelSpec("z", "zimage", shelf.zimage_turbo, device="cpu", dtype="bfloat16"))
    assert half._pipeline.text_encoder is not encoders[0]  # type: ignore[attr-defined]


def test_nothing_is_kept_that_no_model_has(split: list[ModelSpec]) -> None:
    model = load(split[1])
    held = weakref.ref(t5_of(model))
    assert held() is not None
    del model
    gc.collect()
    assert held() is None

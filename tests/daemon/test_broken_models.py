"""Every broken model ends in one line that says what, where, and what to do."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from daemon.errors import DaemonError
from daemon.families import ModelSpec, load
from spool.jobs import JobRequest
from tests.daemon.test_assembly import resolved
from tests.models.broken import BROKEN, Broken
from tests.models.shelf import Shelf

WORKS = {"fp16_variant_only"}
"""What plain diffusers does not load, and genzo does."""


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_model_is_refused_in_one_line(
    shelf: Shelf, tmp_path: Path, broken: Broken
) -> None:
    if broken.needs_gguf and not find_spec("gguf"):
        pytest.skip("gguf is not installed")
    if broken.name == "unreadable" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = broken.make(shelf, tmp_path)
    if broken.name in WORKS:
        load(_spec(broken, path, shelf))
        return
    with pytest.raises(DaemonError) as caught:
        _paint(_spec(broken, path, shelf))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    assert not (tmp_path / "exploded").exists()
    if broken.name != "nan_weights":
        assert str(path) in message or str(path.parent) in message


def _paint(spec: ModelSpec) -> None:
    model = load(spec)
    job = resolved(model, JobRequest(prompt="x", width=64, height=64, steps=1))
    model.decode(model.denoise(job, 1, lambda _: None))


def _spec(broken: Broken, path: Path, shelf: Shelf) -> ModelSpec:
    if path.is_dir():
        return ModelSpec("m", broken.family, path, device="cpu")
    if broken.family == "flux":
        folder = shelf.flux_dev
        return ModelSpec(
            "m",
            "flux",
            path,
            config=folder,
            vae=folder,
            text_encoder=folder,
            text_encoder_2=folder,
            device="cpu",
        )
    return ModelSpec("m", broken.family, path, config=shelf.sdxl, device="cpu")

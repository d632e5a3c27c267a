"""The table of broken models: diffusers alone does with each what the table says."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import SingleFileComponentError

from tests.models import open_bare
from tests.models.broken import BROKEN, BROKEN_FOLDERS, Broken
from tests.models.shelf import Shelf

diffusers: Any = import_module("diffusers")

REFUSALS = (
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    NotImplementedError,
    SingleFileComponentError,
)


def test_the_names_are_unlike() -> None:
    assert len({broken.name for broken in BROKEN}) == len(BROKEN) >= 30


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_diffusers_alone_does_as_the_table_says(
    shelf: Shelf, tmp_path: Path, broken: Broken
) -> None:
    if broken.needs_gguf and not find_spec("gguf"):
        pytest.skip("gguf is not installed")
    path = broken.make(shelf, tmp_path)
    assert path.is_relative_to(tmp_path)
    if broken.bare == "hangs" or (broken.name == "unreadable" and os.geteuid() == 0):
        return
    if broken.bare == "loads":
        load(broken, path, shelf)
        return
    with pytest.raises(REFUSALS):
        load(broken, path, shelf)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("broken", BROKEN_FOLDERS, ids=lambda broken: broken.name)
def test_no_maker_harms_the_shelf(shelf: Shelf, tmp_path: Path, broken: Broken) -> None:
    before = {file: file.stat().st_mtime_ns for file in shelf.sdxl.rglob("*")}
    broken.make(shelf, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in shelf.sdxl.rglob("*")} == before


def load(broken: Broken, path: Path, shelf: Shelf) -> Any:
    """The model as diffusers loads it with the configuration of one that works."""
    if path.is_dir():
        return open_bare(path)
    if broken.family == "flux":
        quantised = path.suffix == ".gguf"
        config = diffusers.GGUFQuantizationConfig(compute_dtype=torch.float32)
        return diffusers.FluxTransformer2DModel.from_single_file(
            str(path),
            config=str(shelf.flux_dev),
            subfolder="transformer",
            quantization_config=config if quantised else None,
        )
    return diffusers.StableDiffusionXLPipeline.from_single_file(
        str(path), config=str(shelf.sdxl), local_files_only=True
    )

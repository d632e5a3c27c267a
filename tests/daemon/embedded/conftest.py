"""A recipe that ends in seconds, with every stage of the real one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from daemon.embedded.recipe import reconstruction
from daemon.embedded.recipe.network import Architecture
from daemon.embedded.recipe.shards import Plan
from daemon.embedded.recipe.stages import Recipe
from daemon.embedded.recipe.training import Settings
from tests.daemon.conftest import EMBEDDED_FOLDER

TINY = Architecture(
    widths=(8, 8, 8), heads=(1, 1, 1), text_widths=(8, 8), text_layers=(4, 4), top_attention=True
)


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> Recipe:
    return Recipe(
        work=tmp_path / "work",
        settings=Settings(views=24, batch=4, learning_rate=1e-3, save_seconds=0.0),
        plan=Plan(shards=2, scenes=8, ladder=((64, 64), (96, 64))),
        autoencoder=reconstruction.Settings(steps=3, batch=2, crop_px=32, last_crop_px=64),
        architecture=TINY,
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="session")
def embedded_folder() -> Path:
    return EMBEDDED_FOLDER

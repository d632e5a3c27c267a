"""Models for the daemon's tests, each loaded once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from daemon.families import Model, ModelSpec, load
from tests.daemon.tiny_models import save_tiny_sdxl

# Threads gain tiny models nothing, and wait for each other long when something else runs.
torch.set_num_threads(1)

EMBEDDED_FOLDER = Path(__file__).parents[2] / "daemon" / "embedded" / "model"


@pytest.fixture(scope="session")
def embedded_spec() -> ModelSpec:
    return ModelSpec("embedded", "sdxl", EMBEDDED_FOLDER, device="cpu")


@pytest.fixture(scope="session")
def embedded(embedded_spec: ModelSpec) -> Model:
    return load(embedded_spec)


@pytest.fixture(scope="session")
def tiny_spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = save_tiny_sdxl(tmp_path_factory.mktemp("models") / "tiny")
    return ModelSpec("tiny", "sdxl", folder, device="cpu")


@pytest.fixture(scope="session")
def tiny(tiny_spec: ModelSpec) -> Model:
    return load(tiny_spec)

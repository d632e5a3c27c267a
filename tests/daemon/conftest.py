"""Models for the daemon's tests, each loaded once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from daemon.families import Model, ModelSpec, load
from tests import models
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


@pytest.fixture(scope="session")
def flow_specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    """Tiny models of the flow-matching families, by the names of FLOW_MODELS."""
    root = tmp_path_factory.mktemp("flow")
    dev = models.save_tiny_flux_dev(root / "dev")
    schnell = models.save_tiny_flux_schnell(root / "schnell")
    chroma = models.save_tiny_chroma(root / "chroma")
    zimage = models.save_tiny_zimage_turbo(root / "zimage")
    return {
        "dev": ModelSpec("dev", "flux", dev, device="cpu"),
        "schnell": ModelSpec("schnell", "flux", schnell, device="cpu"),
        "chroma": ModelSpec("chroma", "chroma", chroma, device="cpu"),
        "turbo": ModelSpec("turbo", "zimage", zimage, device="cpu"),
        "base": ModelSpec("base", "zimage", zimage, device="cpu", variant="base"),
    }


@pytest.fixture(scope="session")
def flow_models(flow_specs: dict[str, ModelSpec]) -> dict[str, Model]:
    return {name: load(spec) for name, spec in flow_specs.items()}

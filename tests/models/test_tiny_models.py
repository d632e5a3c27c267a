"""The folders: what diffusers loads from them paints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import models
from tests.models import open_bare
from tests.models.comparing import networks, paint

SAVERS = [getattr(models, name) for name in models.__all__ if name.startswith("save_tiny_")]
BY_NAME = pytest.mark.parametrize("save", SAVERS, ids=lambda save: save.__name__)

# Said by diffusers when a Chroma is built.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@BY_NAME
def test_every_folder_is_small_and_paints_what_the_prompt_says(
    save: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = save(tmp_path / "model")
    assert sum(file.stat().st_size for file in folder.rglob("*.safetensors")) < 2_500_000
    pipeline = open_bare(folder)
    cat, dog = paint(pipeline, "a red cat"), paint(pipeline, "a dog")
    assert np.isfinite(cat).all()
    assert cat.std() > 0.05
    assert np.abs(cat - dog).max() > 0.01


@BY_NAME
def test_no_two_tensors_of_a_shape_are_equal(save: Callable[[Path], Path], tmp_path: Path) -> None:
    for part, network in networks(open_bare(save(tmp_path / "model"))).items():
        tensors = [it.detach() for it in network.parameters()]
        seen = {(tuple(it.shape), it.flatten()[:4].numpy().tobytes()) for it in tensors}
        assert len(seen) == len(tensors), part


def test_a_folder_has_the_same_weights_every_time_and_draws_from_no_one(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.randn(2)
    torch.manual_seed(3)
    one, two = (models.save_tiny_sdxl(tmp_path / name) for name in ("one", "two"))
    assert torch.equal(torch.randn(2), expected)
    for file in one.rglob("*.safetensors"):
        assert file.read_bytes() == (two / file.relative_to(one)).read_bytes()


def test_another_seed_gives_another_model(tmp_path: Path) -> None:
    one = models.state_of(models.save_tiny_sdxl(tmp_path / "one"), "unet")
    two = models.state_of(models.save_tiny_sdxl(tmp_path / "two", seed=5), "unet")
    assert not torch.equal(one["conv_in.weight"], two["conv_in.weight"])


def test_a_folder_can_hold_half_precision_in_shards(tmp_path: Path) -> None:
    folder = models.save_tiny_sdxl_real(
        tmp_path / "model", dtype=torch.float16, variant="fp16", max_shard_size="200KB"
    )
    assert len(list((folder / "unet").glob("*.fp16-*.safetensors"))) > 1
    state = models.state_of(folder, "unet")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert open_bare(folder, variant="fp16").unet.conv_in.weight.dtype == torch.float32


def test_the_scheduler_tells_how_an_sdxl_was_trained(tmp_path: Path) -> None:
    folder = models.save_tiny_sdxl_real(
        tmp_path / "model", prediction_type="v_prediction", zero_snr=True
    )
    scheduler = open_bare(folder).scheduler
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.rescale_betas_zero_snr

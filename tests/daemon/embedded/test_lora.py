from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daemon.embedded.recipe import lora, stages
from daemon.embedded.recipe.progress import Progress
from daemon.embedded.recipe.shards import Plan
from daemon.embedded.recipe.stages import Recipe
from daemon.embedded.recipe.training import Settings
from daemon.families import ModelSpec, load
from daemon.loras import LoraFolder
from spool.jobs import LoraRequest
from tests.daemon.conftest import EMBEDDED_FOLDER
from tests.daemon.test_sdxl import ignore, job


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("loras")
    recipe = Recipe(
        work=made / "work",
        settings=Settings(views=16, batch=4, learning_rate=2e-3, warmup=1),
        plan=Plan(shards=1, scenes=8, ladder=((64, 64),)),
        device=torch.device("cpu"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lora, "RANK", 4)
        stages.run_lora(recipe, EMBEDDED_FOLDER, made / "blueprint.safetensors", Progress())
    return made


def test_it_is_listed_with_its_trigger_word(folder: Path) -> None:
    (listed,) = LoraFolder(folder, "sdxl").available()
    assert listed["id"] == "blueprint"
    assert listed["trigger_words"] == ["blueprint"]


def test_it_acts_at_1_and_is_silent_at_0(folder: Path, embedded_spec: ModelSpec) -> None:
    model = load(replace(embedded_spec, loras=folder))
    wanted = job(prompt="a red house", width=64, height=64, steps=2)
    base = model.denoise(wanted, 7, ignore)
    at = {
        weight: model.denoise(
            wanted.model_copy(
                update={"loras": (LoraRequest(id="blueprint", weight=weight, trigger_weight=0.0),)}
            ),
            7,
            ignore,
        )
        for weight in (0.0, 1.0)
    }
    assert torch.equal(at[0.0], base)
    assert not torch.allclose(at[1.0], base, atol=1e-3)

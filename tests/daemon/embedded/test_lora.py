from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daemon.embedded.recipe import lora, stages
from daemon.embedded.recipe.looks import nearest_colour
from daemon.embedded.recipe.progress import Progress
from daemon.embedded.recipe.shards import Plan, tokenise, tokenise_weighted
from daemon.embedded.recipe.stages import Recipe
from daemon.embedded.recipe.styles import BLUEPRINT
from daemon.embedded.recipe.training import Settings
from daemon.embedded.recipe.vocabulary import open_tokenizers
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


def test_its_captions_are_read_with_their_trigger_s_weight() -> None:
    tokenizers = open_tokenizers(EMBEDDED_FOLDER)
    read = tokenise_weighted(tokenizers, ["a red house, (blueprint:0.25)"])
    trigger = tokenizers[0].convert_tokens_to_ids("blueprint</w>")
    assert torch.equal(read["weights"][0] == 0.25, read["ids"][0] == trigger)
    for ids, plain in zip(
        (read["ids"], read["ids_2"]),
        tokenise(tokenizers, ["a red house, blueprint"]),
        strict=True,
    ):
        assert torch.equal(ids, plain)


def test_a_style_s_strength_follows_its_trigger_s_weight() -> None:
    picture = Image.new("RGB", (64, 64), "red")
    whole = np.asarray(BLUEPRINT.restyled(picture), dtype=float)
    half = np.asarray(BLUEPRINT.restyled(picture, 0.5), dtype=float)
    assert np.abs(half - (whole + np.asarray(picture)) / 2).max() <= 1
    assert nearest_colour(whole[32, 32]) == "blue"
    assert BLUEPRINT.triggered("a house", 0.5, 1).count("(blueprint:0.5)") == 1


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

"""Settings of a job change the embedded model's pictures in the stated direction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from daemon.embedded.recipe import grids, looks
from daemon.families import Model, ModelSpec, load
from daemon.families.samplers import samplers
from tests.daemon.conftest import EMBEDDED_FOLDER

if TYPE_CHECKING:
    from daemon.embedded.recipe.looks import Pixels

LORA = "civitai_1963644"


@pytest.fixture(scope="module")
def model(embedded_spec: ModelSpec) -> Model:
    return load(replace(embedded_spec, loras=EMBEDDED_FOLDER.with_name("loras")))


def means(model: Model, name: str, *labels: str) -> list[float]:
    """The means of a grid's columns, of small pictures with two seeds and few steps."""
    (grid,) = [one for one in grids.grids(LORA) if one.name == name]
    some = grids.narrowed(grid, *labels, seeds=2)
    found = grids.rendered(model, some, side=128, steps=6).means
    return [found[label] for label in labels]


def is_red(seen: Pixels) -> float:
    return float(looks.main_colour(seen, looks.foreground(seen)) == "red")


def test_a_word_shows_the_more_the_more_it_weighs(model: Model) -> None:
    weak, plain, strong = means(model, "attention", "(red:0.2)", "(red:1.0)", "(red:1.8)")
    assert strong > plain + 5 > weak + 10


def test_what_a_negative_prompt_names_is_shown_less(model: Model) -> None:
    none, red, green = means(model, "negative", "none", "red", "green")
    assert red < none - 5 < green - 10


def test_the_lora_shows_the_more_the_more_it_weighs_and_at_0_not_at_all(model: Model) -> None:
    labels = ("0 / 1", "0.5 / 1", "1 / 1", "1 / 0", "1 / 0.5")
    none, light, whole, untriggered, softly = means(model, "lora", *labels)
    assert whole > light + 10 > none + 20
    assert whole > softly + 10 > untriggered + 20


def test_every_sampler_draws_what_was_asked(model: Model) -> None:
    (grid,) = [one for one in grids.grids(LORA) if one.name == "samplers"]
    some = replace(grids.narrowed(grid, *samplers, seeds=1), measure=is_red)
    assert grids.rendered(model, some, side=128, steps=12).means == dict.fromkeys(samplers, 1.0)


def test_a_grid_is_written_with_its_figures(model: Model, tmp_path: Path) -> None:
    (grid,) = [one for one in grids.grids(LORA) if one.name == "guidance"]
    line = grids.write(model, grids.narrowed(grid, "5", seeds=1), tmp_path)
    assert line == "guidance: 5: 100 (% one red star on white)"
    with Image.open(tmp_path / "embedded-model-guidance.png") as picture:
        assert picture.size == (100, 142)

"""Z-Image: bit-equal to diffusers' own pipeline, Turbo never guided, base with guidance."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from daemon.errors import ModelError
from daemon.families import Model, ModelSpec, load
from spool.jobs import ResolvedJob
from tests.daemon.flow_pictures import bare_picture, ignore, job, render
from tests.models import open_bare

SIZES = [job(), job(width=96, height=160), job(prompt=""), job(prompt="red cat " * 200)]
NAMES = ["square", "tall", "empty", "long"]


@pytest.fixture(scope="module")
def bare(flow_specs: dict[str, ModelSpec]) -> Any:
    return open_bare(flow_specs["turbo"].weights)


@pytest.mark.parametrize("wanted", SIZES, ids=NAMES)
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_turbo_equals_the_pipeline_without_guidance_bit_for_bit(
    flow_models: dict[str, Model], bare: Any, wanted: ResolvedJob, scale: float
) -> None:
    turbo = flow_models["turbo"]
    expected = bare_picture(bare, wanted, guidance_scale=0.0).tobytes()
    asked = wanted.model_copy(update={"guidance_scale": scale})
    assert render(turbo, asked).tobytes() == expected
    assert render(turbo, asked).tobytes() == expected, "remembered embeddings differ"


# Two prompts of different length: the pipeline pads them to one.
@pytest.mark.parametrize("negative", [None, "", "blurry " * 20])
@pytest.mark.parametrize("wanted", SIZES, ids=NAMES)
def test_base_equals_the_pipeline_with_guidance_bit_for_bit(
    flow_models: dict[str, Model], bare: Any, wanted: ResolvedJob, negative: str | None
) -> None:
    asked = wanted.model_copy(update={"negative_prompt": negative})
    listed = None if negative is None else [negative]
    expected = bare_picture(bare, asked, prompt=[asked.prompt], negative_prompt=listed).tobytes()
    assert render(flow_models["base"], asked).tobytes() == expected


def test_the_negative_prompt_counts_at_any_guidance_above_0(
    flow_models: dict[str, Model],
) -> None:
    base = flow_models["base"]

    def heeds(scale: float) -> bool:
        jobs = [job(guidance_scale=scale, negative_prompt=text) for text in (None, "blurry")]
        return not torch.equal(*(base.denoise(wanted, 7, ignore) for wanted in jobs))

    assert heeds(0.1)
    assert not heeds(0.0)


def test_the_pipelines_own_lists_are_never_the_cached_ones(flow_models: dict[str, Model]) -> None:
    turbo = flow_models["turbo"]
    wanted = job(prompt="a prompt of its own")
    turbo.denoise(wanted, 7, ignore)
    assert wanted.prompt == "a prompt of its own"
    conditioning = [turbo._conditioning(wanted) for _ in range(2)]  # type: ignore[attr-defined]
    first, second = (each["prompt_embeds"] for each in conditioning)
    assert first is not second
    assert first[0] is second[0]


def test_the_template_counts_among_the_tokens(flow_models: dict[str, Model]) -> None:
    turbo = flow_models["turbo"]
    (sentence,) = turbo.warnings(job(prompt="x" * 600))
    cut = int(sentence.split("the last ")[1].split()[0])
    assert turbo.warnings(job(prompt="x" * (600 - cut))) == ()
    assert len(turbo.warnings(job(prompt="x" * (601 - cut)))) == 1
    assert cut > 600 - 512


def test_a_tokenizer_without_a_chat_template_is_a_model_error(
    flow_specs: dict[str, ModelSpec], tmp_path: Path
) -> None:
    folder = tmp_path / "zimage"
    shutil.copytree(flow_specs["turbo"].weights, folder)
    (folder / "tokenizer" / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load(replace(flow_specs["turbo"], weights=folder))

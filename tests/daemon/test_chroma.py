"""Chroma: bit-equal to diffusers' own pipeline, with guidance and without."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from daemon.families import Model, ModelSpec, load
from spool.jobs import ResolvedJob
from tests.daemon.flow_pictures import bare_picture, ignore, job, render
from tests.models import open_bare


@pytest.fixture(scope="module")
def bare(flow_specs: dict[str, ModelSpec]) -> Any:
    return open_bare(flow_specs["chroma"].weights)


@pytest.fixture(scope="module")
def chroma(flow_models: dict[str, Model]) -> Model:
    return flow_models["chroma"]


@pytest.mark.parametrize(
    "wanted",
    [
        job(),
        job(width=96, height=160),
        job(negative_prompt="blurry"),
        job(negative_prompt=""),
        job(guidance_scale=1.0, negative_prompt="blurry"),
        job(guidance_scale=0.0),
        job(prompt="", negative_prompt="red cat " * 100),
        job(prompt="red cat " * 200),
    ],
    ids=["square", "tall", "negative", "empty negative", "1", "0", "empty", "long"],
)
def test_a_picture_equals_the_pipelines_own_bit_for_bit(
    chroma: Model, bare: Any, wanted: ResolvedJob
) -> None:
    expected = bare_picture(bare, wanted, negative_prompt=wanted.negative_prompt).tobytes()
    assert render(chroma, wanted).tobytes() == expected
    assert render(chroma, wanted).tobytes() == expected, "remembered embeddings differ"


def test_the_negative_prompt_counts_above_a_guidance_of_1(chroma: Model) -> None:
    def heeds(scale: float) -> bool:
        jobs = [job(guidance_scale=scale, negative_prompt=text) for text in ("", "blurry")]
        return not torch.equal(*(chroma.denoise(wanted, 7, ignore) for wanted in jobs))

    assert heeds(1.1)
    assert not heeds(1.0)


def test_both_prompts_are_told_when_they_are_too_long(chroma: Model) -> None:
    long = {"prompt": "x" * 600, "negative_prompt": "y" * 550}
    warnings = chroma.warnings(job(**long))
    assert [sentence.split(":")[0] for sentence in warnings] == ["prompt", "negative_prompt"]
    assert "602 tokens are more than the 512" in warnings[0]
    assert "the last 40 were cut off" in warnings[1]
    assert len(chroma.warnings(job(**long, guidance_scale=1.0))) == 1


def test_a_folder_whose_schedule_is_of_beta_sigmas_is_rendered_with_it(
    flow_specs: dict[str, ModelSpec], tmp_path: Path
) -> None:
    """diffusers asks for scipy then, and only then."""
    spec = replace(flow_specs["chroma"], weights=tmp_path / "chroma")
    shutil.copytree(flow_specs["chroma"].weights, spec.weights)
    path = spec.weights / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "use_beta_sigmas": True}))
    wanted = job(steps=4)
    expected = bare_picture(open_bare(spec.weights), wanted).tobytes()
    assert render(load(spec), wanted).tobytes() == expected
    assert render(load(flow_specs["chroma"]), wanted).tobytes() != expected

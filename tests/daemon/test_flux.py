"""Flux: bit-equal to diffusers' own pipeline, dev with its guidance and schnell without."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from daemon.families import Model, ModelSpec
from spool.jobs import ResolvedJob
from tests.daemon.flow_pictures import bare_picture, ignore, job, render
from tests.models import open_bare

TOKENS = {"dev": 512, "schnell": 256}


@pytest.fixture(scope="module", params=["dev", "schnell"])
def name(request: pytest.FixtureRequest) -> str:
    variant: str = request.param
    return variant


@pytest.fixture(scope="module")
def bare(name: str, flow_specs: dict[str, ModelSpec]) -> Any:
    return open_bare(flow_specs[name].weights)


@pytest.mark.parametrize(
    "wanted",
    [job(), job(width=96, height=160), job(prompt=""), job(prompt="red cat " * 200), job(steps=1)],
    ids=["square", "tall", "empty", "long", "one step"],
)
def test_a_picture_equals_the_pipelines_own_bit_for_bit(
    name: str, flow_models: dict[str, Model], bare: Any, wanted: ResolvedJob
) -> None:
    expected = bare_picture(bare, wanted, max_sequence_length=TOKENS[name]).tobytes()
    assert render(flow_models[name], wanted).tobytes() == expected
    assert render(flow_models[name], wanted).tobytes() == expected, "remembered embeddings differ"


def test_only_dev_heeds_the_guidance_scale(flow_models: dict[str, Model]) -> None:
    def heeds(model: Model) -> bool:
        latents = [model.denoise(job(guidance_scale=scale), 7, ignore) for scale in (0.0, 4.0)]
        return not torch.equal(*latents)

    assert heeds(flow_models["dev"])
    assert not heeds(flow_models["schnell"])


def test_a_prompt_beyond_the_limit_is_told_with_both_numbers(
    name: str, flow_models: dict[str, Model]
) -> None:
    model, limit = flow_models[name], TOKENS[name]
    # Every letter is a token here; the end of the text is one more, and so is its start.
    assert model.warnings(job(prompt="x" * (limit - 2))) == ()
    (sentence,) = model.warnings(job(prompt="x" * (limit + 8)))
    assert f"prompt: {limit + 10} tokens are more than the {limit}" in sentence
    assert "the last 10 were cut off" in sentence

"""Prompts are the pipeline's own embeddings, until they weigh something or are long."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from daemon.errors import RenderError
from daemon.families import Model, ModelSpec
from daemon.families.embeddings import EmbeddingCache
from daemon.families.prompts import SdxlConditioning, SdxlPrompts, emphasised
from tests.daemon.test_sdxl import ignore, job
from tests.daemon.tiny_models import open_bare

FIT = "red cat, " * 25
"""75 tokens."""


@pytest.fixture(scope="module", params=["tiny", "embedded"])
def pipeline(request: pytest.FixtureRequest) -> Any:
    model: ModelSpec = request.getfixturevalue(f"{request.param}_spec")
    return open_bare(model.weights, variant="fp16" if request.param == "embedded" else None)


@pytest.fixture
def prompts(pipeline: Any) -> SdxlPrompts:
    return SdxlPrompts(pipeline, "encoders", EmbeddingCache(1 << 24))


@torch.inference_mode()
def own(pipeline: Any, prompt: str, negative: str | None = None) -> SdxlConditioning:
    """What the pipeline alone makes of the prompts."""
    encoded = pipeline.encode_prompt(prompt, negative_prompt=negative)
    return {
        "prompt_embeds": encoded[0],
        "negative_prompt_embeds": encoded[1],
        "pooled_prompt_embeds": encoded[2],
        "negative_pooled_prompt_embeds": encoded[3],
    }


def assert_equal(found: SdxlConditioning, expected: SdxlConditioning) -> None:
    for name, tensor in expected.items():
        assert isinstance(tensor, torch.Tensor)
        assert torch.equal(found[name], tensor), name  # type: ignore[literal-required]


@pytest.mark.parametrize("negative", [None, "", "blurry, ugly", FIT])
@pytest.mark.parametrize(
    "prompt", ["", "a red cat", FIT, r"a\b :) <x> | 1.5: BREAKS", " red  cat "]
)
def test_up_to_75_tokens_without_weights_equal_the_pipelines_bit_for_bit(
    pipeline: Any, prompts: SdxlPrompts, prompt: str, negative: str | None
) -> None:
    expected = own(pipeline, prompt, negative)
    for _ in range(2):  # the second from the cache
        assert_equal(prompts.condition(prompt, negative, guided=True), expected)


def test_escaped_brackets_and_weights_of_one_are_the_words_alone(
    pipeline: Any, prompts: SdxlPrompts
) -> None:
    expected = own(pipeline, "red (cat) on [a] mat", "dog")
    found = prompts.condition(r"(red:1.0) \(cat\) (on:1) \[a\] mat", "([dog])", guided=True)
    assert_equal(found, expected)


def test_models_that_encode_no_negative_prompt_as_the_empty_one_get_that(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**pipeline.config, "force_zeros_for_empty_prompt": False}
    monkeypatch.setattr(pipeline, "_internal_dict", type(pipeline.config)(config))
    found = SdxlPrompts(pipeline, "", EmbeddingCache(0)).condition("a cat", None, guided=True)
    assert_equal(found, own(pipeline, "a cat", ""))
    assert_equal(found, own(pipeline, "a cat", None))


def test_without_guidance_there_is_no_negative_side(prompts: SdxlPrompts) -> None:
    found = prompts.condition("a cat", "dog " * 100, guided=False)
    assert found["negative_prompt_embeds"] is found["negative_pooled_prompt_embeds"] is None
    assert found["prompt_embeds"].shape[1] == 77


@pytest.mark.parametrize(
    ("tokens", "chunks"), [(75, 1), (76, 2), (150, 2), (151, 3), (300, 4), (301, 5)]
)
def test_a_long_prompt_is_encoded_to_its_end_chunk_by_chunk(
    pipeline: Any, prompts: SdxlPrompts, tokens: int, chunks: int
) -> None:
    words = (["red", "cat", "!"] * 101)[:tokens]
    found = prompts.condition(" ".join(words), None, guided=True)
    assert found["prompt_embeds"].shape[1] == 77 * chunks
    parts = [own(pipeline, " ".join(words[at : at + 75])) for at in range(0, tokens, 75)]
    assert torch.equal(
        found["prompt_embeds"], torch.cat([part["prompt_embeds"] for part in parts], dim=1)
    )
    assert torch.equal(found["pooled_prompt_embeds"], parts[0]["pooled_prompt_embeds"])
    unwanted = found["negative_prompt_embeds"]
    assert unwanted is not None
    assert unwanted.shape == found["prompt_embeds"].shape
    assert not unwanted.any()


def test_break_divides_a_prompt_that_would_fit(pipeline: Any, prompts: SdxlPrompts) -> None:
    found = prompts.condition("a red cat BREAK a dog", "", guided=True)["prompt_embeds"]
    halves = [own(pipeline, text)["prompt_embeds"] for text in ("a red cat", "a dog")]
    assert torch.equal(found, torch.cat(halves, dim=1))


def test_the_shorter_side_is_padded_with_the_empty_prompt(
    pipeline: Any, prompts: SdxlPrompts
) -> None:
    empty = own(pipeline, "")["prompt_embeds"]
    short = own(pipeline, "dog")
    padded = torch.cat([short["prompt_embeds"], empty, empty], dim=1)
    long = "red cat " * 80
    as_negative = prompts.condition(long, "dog", guided=True)
    as_prompt = prompts.condition("dog", long, guided=True)
    assert as_negative["negative_prompt_embeds"] is not None
    assert torch.equal(as_negative["negative_prompt_embeds"], padded)
    assert torch.equal(as_prompt["prompt_embeds"], padded)
    assert torch.equal(as_prompt["pooled_prompt_embeds"], short["pooled_prompt_embeds"])
    assert as_prompt["negative_prompt_embeds"] is not None
    assert torch.equal(as_prompt["negative_prompt_embeds"], as_negative["prompt_embeds"])


@pytest.mark.parametrize(
    "text", ["a (red:1.3) cat", "a [red] cat", "a (red:0) cat", "a (red:-1) cat"]
)
def test_weights_change_the_words_that_they_stand_at(
    pipeline: Any, prompts: SdxlPrompts, text: str
) -> None:
    plain = own(pipeline, "a red cat")
    found = prompts.condition(text, None, guided=True)
    changes = (found["prompt_embeds"] / plain["prompt_embeds"])[0]
    (weight,) = {1.3, 1 / 1.1, 0.0, -1.0} & {_weight_in(text)}
    for width in _widths(pipeline, changes):
        # All but the third token, the "red", are only scaled to restore the mean.
        scale = width[0, 0]
        assert torch.allclose(width[2], scale * weight, rtol=1e-3)
        assert torch.allclose(width[[0, 1, *range(3, 77)]], scale, rtol=1e-3)
    assert torch.equal(found["pooled_prompt_embeds"], plain["pooled_prompt_embeds"])


def _weight_in(text: str) -> float:
    word = text.split()[1]
    return 1 / 1.1 if word == "[red]" else float(word.strip("()").removeprefix("red:"))


def _widths(pipeline: Any, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The part of each encoder: they are weighted apart."""
    first = pipeline.text_encoder.config.hidden_size
    return states[:, :first], states[:, first:]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_mean_is_restored_after_weighting(dtype: torch.dtype) -> None:
    states = torch.randn(1, 77, 64, generator=torch.Generator().manual_seed(0)) * 9 + 1
    states = states.to(dtype)
    weights = [1.0, 1.5, 10.0, -0.5, *[1.0] * 73]
    found = emphasised(states, weights)
    assert found.dtype == dtype
    assert found.float().mean().item() == pytest.approx(states.float().mean().item(), rel=0.02)
    assert emphasised(states, [1.0] * 77) is states


@pytest.mark.parametrize(("weight", "least", "most"), [(1.5, 1 / 1.5, 1.0), (0.5, 1.0, 2.0)])
def test_states_whose_means_cancel_each_other_out_are_neither_blown_up_nor_turned_around(
    weight: float, least: float, most: float
) -> None:
    states = torch.ones(1, 77, 8)
    states[:, ::2] = -1
    states[:, 0] = 0.5  # the mean is 0.5 / 77; weighting the third token makes it 0, or twice that
    found = emphasised(states, [1.0, 1.0, weight, *[1.0] * 74])
    scales = found[0, 3:] / states[0, 3:]
    assert scales.min() >= least - 1e-6
    assert scales.max() <= most + 1e-6


def test_weights_count_in_every_chunk(prompts: SdxlPrompts) -> None:
    plain = prompts.condition("red cat " * 60, None, guided=False)["prompt_embeds"]
    text = "red cat " * 40 + "(red cat:1.5) " + "red cat " * 19
    weighted = prompts.condition(text, None, guided=False)["prompt_embeds"]
    assert torch.equal(plain[:, :77], weighted[:, :77])
    assert not torch.equal(plain[:, 77:], weighted[:, 77:])


def test_adapters_of_the_encoders_are_part_of_the_key(prompts: SdxlPrompts) -> None:
    first = prompts.condition("a cat", None, guided=False)
    again = prompts.condition("a cat", None, guided=False)
    other = prompts.condition("a cat", None, guided=False, adapters=("ink", 1.0))
    assert again["prompt_embeds"] is first["prompt_embeds"]
    assert other["prompt_embeds"] is not first["prompt_embeds"]


def test_a_prompt_without_end_is_refused(prompts: SdxlPrompts) -> None:
    with pytest.raises(RenderError, match="shorten it"):
        prompts.condition("BREAK " * 3000, None, guided=True)


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({"prompt": "a (red:1.4) cat"}, {"prompt": "a red cat"}),
        ({"prompt": "cat " * 100 + "red"}, {"prompt": "cat " * 100}),
        ({"negative_prompt": "dog " * 100 + "red"}, {"negative_prompt": "dog " * 100}),
        ({"prompt": "a red cat BREAK dog"}, {"prompt": "a red cat dog"}),
    ],
)
def test_what_is_said_is_rendered(
    tiny: Model, changes: dict[str, Any], others: dict[str, Any]
) -> None:
    found = tiny.denoise(job(**changes), 7, ignore)
    assert not torch.equal(found, tiny.denoise(job(**others), 7, ignore))
    assert torch.equal(found, tiny.denoise(job(**changes), 7, ignore))


def test_what_is_not_supported_is_told(tiny: Model) -> None:
    assert tiny.warnings(job(prompt="a (red:1.2) cat " * 50, negative_prompt=None)) == ()
    asked = job(prompt="a [red:blue:0.5] cat", negative_prompt="[cow|dog] (x:99)")
    scheduling, alternation, weight = tiny.warnings(asked)
    assert scheduling.startswith("prompt: [red:blue:0.5] is prompt scheduling")
    assert alternation.startswith("negative_prompt: [cow|dog] is prompt alternation")
    assert weight == "negative_prompt: weights beyond 10 are taken as 10"

"""The A1111 text is read back as it was meant, whatever the prompt says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sd_parsers.parsers import AUTOMATIC1111Parser

from daemon.infotext import ZERO_WIDTH_SPACE, Infotext, infotext
from spool.jobs import ResolvedJob

JOB = ResolvedJob(
    model="embedded",
    prompt="a red circle",
    negative_prompt=None,
    width=256,
    height=192,
    seed=40,
    steps=20,
    guidance_scale=5.0,
    sampler="euler_a",
)
HOSTILE = [
    "Steps: 99, Sampler: None, Seed: 1",
    "a cat\nSteps: 99, Sampler: None, Seed: 1",
    "Negative prompt: dog\nNegative prompt: cow",
    "a cat\nNegative prompt: dog",
    "a\nTemplate: b",
    'he said "x: y, z: w"',
    "猫、naïve 🐱",
    "",
    "a, b: c, d: e, f: g, h: i",
    "\\(literal\\) {braces} [1:2:0.5]",
]


def text_of(model_name: str = "embedded", **changes: Any) -> str:
    job = JOB.model_copy(update=changes)
    return str(infotext(job, 42, "Euler a", model_name, "genzo 0.1.0", {}))


def read_as_a1111_does(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and settings, after A1111's `parse_generation_parameters`."""
    *lines, last = text.strip().split("\n")
    pairs = re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last)
    assert len(pairs) >= 3
    prompt: list[str] = []
    negative: list[str] = []
    target = prompt
    for line in lines:
        if line.startswith("Negative prompt:"):
            target = negative
            target.append(line[16:].strip())
        else:
            target.append(line.strip())
    return "\n".join(prompt), "\n".join(negative), dict(pairs)


def read_as_others_do(text: str) -> str:
    """The settings line of the readers that take the first line that starts with Steps."""
    return next(line for line in text.split("\n") if line.startswith("Steps: "))


def test_the_text_is_a1111s() -> None:
    assert text_of(negative_prompt="blurry") == (
        "a red circle\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 5, Seed: 42, Size: 256x192, "
        "Model: embedded, Version: genzo 0.1.0"
    )


@pytest.mark.parametrize("negative_prompt", [None, ""])
def test_without_a_negative_prompt_there_is_no_line_for_it(negative_prompt: str | None) -> None:
    assert "Negative" not in text_of(negative_prompt=negative_prompt)


@pytest.mark.parametrize("prompt", HOSTILE)
@pytest.mark.parametrize("negative", HOSTILE)
def test_hostile_prompts_are_read_back(prompt: str, negative: str) -> None:
    text = text_of(prompt=prompt, negative_prompt=negative)
    read_prompt, read_negative, settings = read_as_a1111_does(text)
    assert read_prompt.replace(ZERO_WIDTH_SPACE, "") == prompt
    assert read_negative.replace(ZERO_WIDTH_SPACE, "") == negative
    assert settings["Steps"] == "20"
    assert settings["Seed"] == "42"
    assert settings["Sampler"] == "Euler a"
    assert read_as_others_do(text).startswith("Steps: 20, Sampler: Euler a")
    assert text.split("\nSteps:", 1)[1].startswith(" 20,")
    assert text.count("Negative prompt:") == (1 if negative else 0)


WORDS = [
    *("Steps", "Negative prompt", "Template", "Seed", "Size", "Model", "Hashes", "Lora hashes"),
    *(":", ": ", ",", ", ", "\n", '"', "{", "}", "\\", "<", ">", " ", "1x1", "5", "\u200b"),
    *("Euler a", "a cat", "猫", "🐱", "é", "BREAK", "\r", "\t", "\x7f", "\u2028", "\u0085"),
]
prompts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map("".join)


def stripped(text: str) -> str:
    """As A1111 leaves it: each line, and the whole, without space around it."""
    lines = text.replace(ZERO_WIDTH_SPACE, "").split("\n")
    return "\n".join(line.strip() for line in lines).strip()


@settings(max_examples=300)
@given(prompts, prompts)
def test_no_prompt_is_taken_for_settings(prompt: str, negative: str) -> None:
    text = text_of(prompt=prompt, negative_prompt=negative)
    read_prompt, read_negative, values = read_as_a1111_does(text)
    assert (stripped(read_prompt), stripped(read_negative)) == (
        stripped(prompt),
        stripped(negative),
    )
    (sampler,) = AUTOMATIC1111Parser().parse({"parameters": text}).samplers
    for read in ("\n".join(each.value for each in sampler.prompts), read_prompt):
        assert stripped(read) == stripped(prompt)
    assert stripped("\n".join(each.value for each in sampler.negative_prompts)) == stripped(
        negative
    )
    assert (sampler.name, values["Sampler"]) == ("Euler a", "Euler a")
    assert sampler.parameters["seed"] == values["Seed"] == "42"
    assert sampler.parameters["steps"] == values["Steps"] == "20"
    assert sampler.model is not None
    assert sampler.model.name == values["Model"] == "embedded"


def test_a_harmless_prompt_is_left_alone() -> None:
    assert text_of(prompt="three steps, no template").startswith("three steps, no template\n")


def test_a_models_name_cannot_add_settings() -> None:
    _, _, settings = read_as_a1111_does(text_of(model_name='x", Seed: 1\nSteps: 3'))
    assert settings["Model"] == "x Seed 1Steps 3"
    assert settings["Seed"] == "42"


@pytest.mark.parametrize(("scale", "written"), [(6.0, "6"), (7.25, "7.25"), (0.1 + 0.2, "0.3")])
def test_the_guidance_scale_is_written_short(scale: float, written: str) -> None:
    assert f"CFG scale: {written}," in text_of(guidance_scale=scale)


def test_loras_stand_in_the_values_and_their_triggers_in_the_prompt() -> None:
    loras = [
        {"id": 'ink, "wash":', "weight": 0.8, "a1111_hash": "0123456789ab"},
        {"id": "civitai_5", "weight": -1.0, "a1111_hash": "ba9876543210"},
        {"id": "idle", "weight": 0.0, "a1111_hash": "000000000000"},
    ]
    render = {"effective_prompt": "a red circle, (ink:0.5)", "loras": loras}
    text = str(infotext(JOB, 42, "Euler a", "embedded", "genzo 0.1.0", render))
    prompt, _, settings = read_as_a1111_does(text)
    assert prompt == "a red circle, (ink:0.5)"
    assert settings["Lora hashes"] == '"ink wash: 0123456789ab, civitai_5: ba9876543210"'
    assert settings["Version"] == "genzo 0.1.0"
    assert settings["Seed"] == "42"
    assert text.endswith(
        ', Hashes: {"lora:ink wash": "0123456789ab", "lora:civitai_5": "ba9876543210"}'
    )
    assert "<lora" not in text


PARTS = Infotext("p" * 100, "n" * 50, "Steps: 1")


def test_a_text_that_is_short_enough_stays_as_it_is() -> None:
    assert PARTS.within(10_000) == PARTS.within(len(str(PARTS)) + 1) == PARTS


def test_the_longer_prompt_is_cut_first() -> None:
    shortened = PARTS.within(len(str(PARTS)) - 20)
    assert shortened.negative_prompt == PARTS.negative_prompt
    assert shortened.prompt.startswith("p" * 75)
    assert shortened.prompt.endswith("p…")


@pytest.mark.parametrize("prompt", ["p" * 1000, "🐱" * 500, "p🐱" * 300, ""])
@pytest.mark.parametrize("negative", ["n" * 1000, "n" + "🐱" * 500, "n" * 20, ""])
@pytest.mark.parametrize("units", [100, 101, 300])
def test_a_shortened_text_fits_with_its_values_whole_and_no_character_halved(
    prompt: str, negative: str, units: int
) -> None:
    parts = Infotext(prompt, negative, PARTS.values).within(units)
    encoded = str(parts).encode("utf-16-be")
    assert len(encoded) // 2 <= units
    assert parts.values == PARTS.values
    for cut, whole in ((parts.prompt, prompt), (parts.negative_prompt, negative)):
        assert cut == whole or whole.startswith(cut.removesuffix("…"))

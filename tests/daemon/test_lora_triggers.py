"""Trigger words in the prompt that is encoded."""

from __future__ import annotations

import pytest

from daemon.loras import effective_prompt
from spool.jobs import LoraRequest
from tests.daemon.test_sdxl import job


def prompted(prompt: str, *triggers: str, weight: float = 0.5) -> str:
    loras = tuple(LoraRequest(id=str(n), trigger_weight=weight) for n in range(len(triggers)))
    words = {str(number): (trigger, "other") for number, trigger in enumerate(triggers)}
    return effective_prompt(job(prompt=prompt, loras=loras), words)


@pytest.mark.parametrize(
    ("prompt", "triggers", "effective"),
    [
        ("a cat", ["ink"], "a cat, (ink:0.5)"),
        ("a cat", ["ink", "wash"], "a cat, (ink:0.5), (wash:0.5)"),
        ("a cat", ["ink", "INK"], "a cat, (ink:0.5)"),
        ("a cat in Ink Wash", ["ink wash"], "a cat in Ink Wash"),
        ("thinking of ink_wash", ["ink"], "thinking of ink_wash, (ink:0.5)"),
        ("a cat", ["saber (fate)"], r"a cat, (saber \(fate\):0.5)"),
        ("a cat", [r"saber \(fate\)"], r"a cat, (saber \(fate\):0.5)"),
        (r"saber \(fate\)", ["saber (fate)"], r"saber \(fate\)"),
        ("a cat", ["a [b] \\ c"], r"a cat, (a \[b\] \\ c:0.5)"),
        ("a cat", ["<lora:ink:1> ink, "], "a cat, (ink:0.5)"),
        ("a cat", ["<lora:ink:1>"], "a cat"),
        ("", ["ink"], "(ink:0.5)"),
        ("a cat", [""], "a cat"),
    ],
)
def test_the_trigger_stands_behind_the_prompt_unless_it_is_there(
    prompt: str, triggers: list[str], effective: str
) -> None:
    assert prompted(prompt, *triggers) == effective


@pytest.mark.parametrize(
    ("weight", "effective"),
    [
        (0, "a"),
        (0.00001, "a"),
        (1, "a, (ink:1)"),
        (1.25, "a, (ink:1.25)"),
        (2 / 3, "a, (ink:0.6667)"),
    ],
)
def test_the_trigger_has_its_weight(weight: float, effective: str) -> None:
    assert prompted("a", "ink", weight=weight) == effective


def test_a_lora_of_weight_0_adds_no_trigger() -> None:
    silent, heard = (LoraRequest(id=str(number), weight=number) for number in (0, 1))
    wanted = job(prompt="a", loras=(silent, heard))
    assert effective_prompt(wanted, {"0": ("ink",), "1": ("wash",)}) == "a, (wash:0.5)"


def test_a_prompt_without_loras_stays_as_it_is() -> None:
    assert effective_prompt(job(prompt=" a (cat) "), {}) == " a (cat) "

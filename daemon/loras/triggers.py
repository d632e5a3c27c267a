"""How the triggers of a job's LoRAs get into its prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from spool.jobs import ResolvedJob

_ESCAPED = re.compile(r"\\([()\[\]\\])")
_SPECIAL = re.compile(r"[()\[\]\\]")
# Some authors write the whole of what they type into A1111 among their triggers.
_NETWORK = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)

Triggers = Mapping[str, Sequence[str]]
"""The trigger words of LoRAs by their ids, of which the first is the trigger."""


def effective_prompt(job: ResolvedJob, triggers: Triggers) -> str:
    """The job's prompt with `, (trigger:weight)` behind it for each LoRA, in A1111's syntax.

    `triggers` has each LoRA's trigger words by its id, of which the first is its trigger. One is
    left out at weight 0 or trigger weight 0, and where the prompt has it already, as whole words
    in any case.
    """
    return _with_triggers(job, triggers, lambda words, w: f"({_escaped(words)}:{w})")


def plain_prompt(job: ResolvedJob, triggers: Triggers) -> str:
    """The job's prompt with `, trigger` behind it for each LoRA, for models that read no weights.

    A trigger weight says no more there than whether: at 0 the trigger is left out.
    """
    return _with_triggers(job, triggers, lambda words, _: words)


def _with_triggers(job: ResolvedJob, triggers: Triggers, spelled: Callable[[str, str], str]) -> str:
    prompt = job.prompt
    for lora in job.loras:
        words = plain(next(iter(triggers.get(lora.id, ())), ""))
        weight = f"{lora.trigger_weight:.4f}".rstrip("0").rstrip(".")
        if not words or lora.weight == 0 or weight == "0" or _says(prompt, words):
            continue
        separator = ", " if prompt.strip() else ""
        prompt = f"{prompt}{separator}{spelled(words, weight)}"
    return prompt


def plain(words: str) -> str:
    """The words without A1111's escapes and `<lora:…>`; authors write them with and without."""
    unescaped = _ESCAPED.sub(r"\1", _NETWORK.sub("", words))
    return " ".join(unescaped.split()).strip(" ,")


def _escaped(words: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", words)


def _says(prompt: str, words: str) -> bool:
    pattern = r"\s+".join(map(re.escape, words.split()))
    return bool(re.search(rf"(?<!\w){pattern}(?!\w)", _ESCAPED.sub(r"\1", prompt), re.IGNORECASE))

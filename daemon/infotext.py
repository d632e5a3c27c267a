"""The A1111 `parameters` text, which other programs and sites read out of a picture.

A line or more of prompt, a `Negative prompt: ` line when there is one, and last a line of
`Key: value` pairs. The text is for others; our own exact record is the private chunk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from spool.jobs import ResolvedJob

ZERO_WIDTH_SPACE = "\u200b"

# Readers split at these words wherever they stand, so a prompt that says them would be misread.
_KEYWORDS = re.compile(r"(Steps|Negative prompt|Template)(?=:)")
_UNQUOTED = re.compile(r'[",:\r\n{}]')
_NEGATIVE = "Negative prompt: "


@dataclass(frozen=True, slots=True)
class Infotext:
    """The parts of the text; `str()` puts them together."""

    prompt: str
    negative_prompt: str
    values: str

    def __str__(self) -> str:
        negative = [_NEGATIVE + self.negative_prompt] if self.negative_prompt else []
        return "\n".join([self.prompt, *negative, self.values])

    def within(self, units: int) -> Self:
        """The same in at most `units` of UTF-16, its prompts cut where that is needed, with "…".

        The longer one first, so that a short prompt stays whole. The values are never cut.
        """
        frame = replace(self, prompt="", negative_prompt="…")
        room = max(0, units - _units(str(frame)))
        half = room // 2
        prompt, negative = _units(self.prompt), _units(self.negative_prompt)
        return replace(
            self,
            prompt=_cut(self.prompt, max(half, room - negative)),
            negative_prompt=_cut(self.negative_prompt, max(half, room - prompt)),
        )


def infotext(  # all that the text says
    job: ResolvedJob,
    seed: int,
    sampler_label: str,
    model_name: str,
    version: str,
    render: Mapping[str, Any],
) -> Infotext:
    """The text for one picture of a job, rendered with this seed.

    `sampler_label` is the sampler's A1111 name, `version` ours, `render` the model's description
    of the job. The prompt is the one that was encoded, with the LoRAs' triggers; the LoRAs stand
    in the values, where A1111 has them, and never in the prompt. In the prompts a zero-width
    space breaks the keywords that readers split at; from the values, quotes, commas, colons and
    line breaks are taken out, since few readers understand quoting. Only `Lora hashes` is
    quoted: without quotes A1111 and Civitai do not find it. sd-parsers finds LoRAs in `Hashes`.
    """
    values = {
        "Steps": str(job.steps),
        "Sampler": sampler_label,
        "CFG scale": f"{job.guidance_scale:.10g}",
        "Seed": str(seed),
        "Size": f"{job.width}x{job.height}",
        "Model": model_name,
    }
    pairs = [f"{key}: {_bare(value)}" for key, value in values.items()]
    hashes = {
        _bare(lora["id"]): lora["a1111_hash"]
        for lora in render.get("loras", ())
        if lora["weight"] != 0
    }
    if hashes:
        quoted = ", ".join(f"{name}: {digest}" for name, digest in hashes.items())
        pairs.append(f'Lora hashes: "{quoted}"')
    pairs.append(f"Version: {_bare(version)}")
    if hashes:
        # At the end: A1111's regular expression stumbles over it, and over nothing behind it.
        loras = {f"lora:{name}": digest for name, digest in hashes.items()}
        pairs.append(f"Hashes: {json.dumps(loras, ensure_ascii=False)}")
    return Infotext(
        prompt=_escaped(render.get("effective_prompt", job.prompt)),
        negative_prompt=_escaped(job.negative_prompt or ""),
        values=", ".join(pairs),
    )


def _escaped(prompt: str) -> str:
    return _KEYWORDS.sub(rf"\1{ZERO_WIDTH_SPACE}", prompt)


def _bare(value: str) -> str:
    return _UNQUOTED.sub("", value).strip()


def _units(text: str) -> int:
    return len(text.encode("utf-16-be")) // 2


def _cut(text: str, units: int) -> str:
    """The beginning of `text`, in at most `units` of UTF-16, no character of it halved."""
    if _units(text) <= units:
        return text
    kept = text.encode("utf-16-be")[: 2 * max(0, units - 1)]
    return kept.decode("utf-16-be", "ignore") + "…"

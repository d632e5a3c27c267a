"""The A1111 `parameters` text, which other programs and sites read out of a picture.

A line or more of prompt, a `Negative prompt: ` line when there is one, and last a line of
`Key: value` pairs. The text is for others; our own exact record is the private chunk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spool.jobs import ResolvedJob

ZERO_WIDTH_SPACE = "\u200b"

# Readers split at these words wherever they stand, so a prompt that says them would be misread.
_KEYWORDS = re.compile(r"(Steps|Negative prompt|Template)(?=:)")
_UNQUOTED = re.compile(r'[",:\r\n]')


def infotext(  # all that the text says
    job: ResolvedJob,
    seed: int,
    sampler_label: str,
    model_name: str,
    version: str,
    render: Mapping[str, Any],
) -> str:
    """The text for one picture of a job, rendered with this seed.

    `sampler_label` is the sampler's A1111 name, `version` ours, `render` the model's description
    of the job. The prompt is the one that was encoded, with the LoRAs' triggers; the LoRAs stand
    in the values, where A1111 has them, and never in the prompt. In the prompts a zero-width
    space breaks the keywords that readers split at; from the values, quotes, commas, colons and
    line breaks are taken out, since few readers understand quoting. Only `Lora hashes` is
    quoted: without quotes A1111 and Civitai do not find it.
    """
    values = {
        "Steps": str(job.steps),
        "Sampler": sampler_label,
        "CFG scale": f"{job.guidance_scale:.10g}",
        "Seed": str(seed),
        "Size": f"{job.width}x{job.height}",
        "Model": model_name,
    }
    lines = [_escaped(render.get("effective_prompt", job.prompt))]
    if job.negative_prompt:
        lines.append(f"Negative prompt: {_escaped(job.negative_prompt)}")
    pairs = [f"{key}: {_bare(value)}" for key, value in values.items()]
    hashes = [
        f"{_bare(lora['id'])}: {lora['a1111_hash']}"
        for lora in render.get("loras", ())
        if lora["weight"] != 0
    ]
    if hashes:
        pairs.append(f'Lora hashes: "{", ".join(hashes)}"')
    lines.append(", ".join([*pairs, f"Version: {_bare(version)}"]))
    return "\n".join(lines)


def _escaped(prompt: str) -> str:
    return _KEYWORDS.sub(rf"\1{ZERO_WIDTH_SPACE}", prompt)


def _bare(value: str) -> str:
    return _UNQUOTED.sub("", value).strip()

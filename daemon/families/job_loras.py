"""The LoRAs of a model's jobs: found in its folder, put in force, and told in the record."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from daemon.errors import RenderError
from daemon.families.adapters import Adapter, Adapters
from daemon.families.base import ModelSpec
from daemon.families.lora_targets import lora_targets
from daemon.families.pipelines import LoraPipeline
from daemon.loras import LoraFolder
from daemon.loras.triggers import Triggers
from spool.jobs import ResolvedJob


@dataclass(frozen=True, slots=True)
class Rendered:
    """A job with what its LoRAs came to."""

    job: ResolvedJob
    prompt: str
    adapters: list[Adapter]

    def describe(self) -> dict[str, Any]:
        """The prompt that was encoded, and what was applied, for the job's record."""
        applied = zip(self.job.loras, self.adapters, strict=True)
        return {
            "effective_prompt": self.prompt,
            "loras": [adapter.describe(lora) for lora, adapter in applied],
        }


class JobLoras:
    """The LoRAs of one loaded model, whose pipeline must have none yet.

    `effective_prompt` puts a job's triggers into its prompt, in the family's own syntax. `bare` is
    entered while modules come and go.
    """

    def __init__(
        self,
        spec: ModelSpec,
        pipeline: LoraPipeline,
        dtype: torch.dtype,
        effective_prompt: Callable[[ResolvedJob, Triggers], str],
        bare: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._spec = spec
        self._folder = LoraFolder(spec.loras, spec.family, spec.lora)
        self._adapters = Adapters(pipeline, lora_targets(pipeline), dtype, bare=bare)
        self._effective_prompt = effective_prompt
        self._rendered: Rendered | None = None

    @property
    def text_state(self) -> Hashable:
        """What is in force in the text encoders."""
        return self._adapters.text_state

    def apply(self, job: ResolvedJob) -> str:
        """Put the job's LoRAs in force, and no others, and return the prompt to encode.

        Call it outside of inference mode: peft marks what it loads as trainable or not. Raises
        RenderError naming the LoRA that is gone, or not for this model.
        """
        if job.loras and self._spec.loras is None:
            raise RenderError(f"model {self._spec.name} takes no LoRAs; send the job without them")
        files = []
        triggers = {}
        for lora in job.loras:
            files.append((self._folder.file_of(lora.id), lora.weight))
            triggers[lora.id] = self._folder.trigger_words(lora.id)
        prompt = self._effective_prompt(job, triggers)
        self._rendered = Rendered(job, prompt, self._adapters.use(files))
        return prompt

    def describe(self, job: ResolvedJob) -> dict[str, Any]:
        """What the record of the job says, if it has LoRAs and was the last that was rendered."""
        if not job.loras or self._rendered is None or self._rendered.job != job:
            return {}
        return self._rendered.describe()

"""LoRA files, without torch: what a folder holds, under which ids, and what they add to prompts."""

from __future__ import annotations

from daemon.loras.files import LoraFile
from daemon.loras.folder import LoraFolder, Refused
from daemon.loras.triggers import effective_prompt, plain_prompt

__all__ = ["LoraFile", "LoraFolder", "Refused", "effective_prompt", "plain_prompt"]

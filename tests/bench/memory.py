"""Resident memory over many jobs: models come and go, LoRAs come and go."""

from __future__ import annotations

import itertools
from pathlib import Path

import psutil

from daemon.families import Model, ModelSpec
from daemon.models import Models
from spool.catalogue import Catalogue, ModelEntry
from spool.door import resolve
from spool.jobs import JobRequest, LoraRequest
from tests.models import save_tiny_chroma, save_tiny_sdxl_real, save_tiny_zimage_turbo
from tests.models.lora_files import save_kohya_lora
from tests.models.loras import sdxl_lora

LORAS = 4


def resident_bytes(home: Path, jobs: int) -> list[int]:
    """The memory after each of `jobs` jobs that cycle through three models and four LoRAs."""
    sdxl = save_tiny_sdxl_real(home / "sdxl")
    for number in range(LORAS):
        save_kohya_lora(sdxl_lora(sdxl, seed=number), home / "loras" / f"lora-{number}.safetensors")
    models = Models(
        (
            ModelSpec("sdxl", "sdxl", sdxl, loras=home / "loras", device="cpu"),
            ModelSpec("chroma", "chroma", save_tiny_chroma(home / "chroma"), device="cpu"),
            ModelSpec("zimage", "zimage", save_tiny_zimage_turbo(home / "zimage"), device="cpu"),
        )
    )
    process = psutil.Process()
    names = itertools.cycle(("sdxl", "chroma", "zimage"))
    seen = []
    for number, name in zip(range(jobs), names, strict=False):
        loras = (LoraRequest(id=f"lora-{number // 3 % LORAS}"),) if name == "sdxl" else ()
        request = JobRequest(
            prompt=f"a cat, number {number}", model=name, width=64, height=64, steps=2, loras=loras
        )
        _render(models.load(name), request, models.catalogue.models[name], number)
        seen.append(process.memory_info().rss)
    return seen


def _render(model: Model, request: JobRequest, entry: ModelEntry, seed: int) -> None:
    job = resolve(request, seed, Catalogue({entry.name: entry}))
    assert job is not None
    model.decode(model.denoise(job, seed, lambda _: None))

"""The bare loop that genzo is measured against: one warm process, diffusers, PNG files.

Reads lines `STEPS SIZE_PX JOBS FIRST_SEED` and answers each with the seconds it took.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import logging

from tests.bench.jobs import prompt


def main(weights: str, folder: str) -> None:
    """Serve standard input until it ends."""
    logging.set_verbosity_error()
    pipeline = StableDiffusionXLPipeline.from_pretrained(  # type: ignore[no-untyped-call]
        weights, variant="fp16", torch_dtype=torch.float32, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    for line in sys.stdin:
        steps, size_px, jobs, first_seed = map(int, line.split())
        started = time.perf_counter()
        for seed in range(first_seed, first_seed + jobs):
            image = pipeline(
                prompt(seed),
                width=size_px,
                height=size_px,
                num_inference_steps=steps,
                guidance_scale=5.0,
                generator=torch.Generator("cpu").manual_seed(seed),
            ).images[0]
            image.save(Path(folder) / f"{seed}.png")
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

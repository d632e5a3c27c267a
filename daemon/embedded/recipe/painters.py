"""Who paints the scenes that an evaluation looks at: a model folder, or its autoencoder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from daemon import libraries
from daemon.embedded.recipe.evaluation import Painter, drawn
from daemon.embedded.recipe.scenes import Scene

BATCH = 8


def open_folder(folder: Path, device: torch.device | str = "cpu") -> Any:
    """The shipped folder's pipeline in single precision, silent."""
    pipeline = libraries.diffusers().StableDiffusionXLPipeline.from_pretrained(
        folder,
        variant="fp16",
        torch_dtype=torch.float32,
        local_files_only=True,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def model_painter(
    pipeline: Any, steps: int = 20, guidance: float = 5.0, side: int = 256
) -> Painter:
    """Captions to pictures, the n-th with seed n: nothing is picked."""

    def paint(scenes: Sequence[Scene]) -> list[Image.Image]:
        pictures: list[Image.Image] = []
        for first in range(0, len(scenes), BATCH):
            some = scenes[first : first + BATCH]
            pictures += pipeline(
                [scene.caption for scene in some],
                width=side,
                height=side,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[_noise(first + index) for index in range(len(some))],
            ).images
        return pictures

    return paint


def autoencoder_painter(pipeline: Any) -> Painter:
    """Drawn pictures after the autoencoder: no model of these latents can do better."""

    @torch.inference_mode()
    def paint(scenes: Sequence[Scene]) -> list[Image.Image]:
        pictures: list[Image.Image] = []
        for first in range(0, len(scenes), BATCH):
            some = drawn(scenes[first : first + BATCH])
            batch = pipeline.image_processor.preprocess(some).to(pipeline.device)
            latents = pipeline.vae.encode(batch).latent_dist.mean
            decoded = pipeline.vae.decode(latents).sample
            pictures += pipeline.image_processor.postprocess(decoded)
        return pictures

    return paint


def _noise(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)

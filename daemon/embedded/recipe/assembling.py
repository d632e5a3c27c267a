"""The shipped folder: every part in half precision, as `StableDiffusionXLPipeline` loads it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from daemon import libraries
from daemon.embedded.recipe.diffusion import BETAS, TIMESTEPS
from daemon.embedded.recipe.network import Network
from daemon.embedded.recipe.vocabulary import open_tokenizers

LARGEST_BYTES = 12_000_000
CARD = "genzo.json"


def scheduler() -> Any:
    """Euler on the noise of training; a picture is never clipped, latents have no bounds."""
    return libraries.diffusers().EulerDiscreteScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_start=BETAS[0],
        beta_end=BETAS[1],
        beta_schedule="linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )


def pipeline_of(network: Network, autoencoder: Any, tokenizers: tuple[Any, Any]) -> Any:
    """The parts as a pipeline, sharing their weights."""
    pipeline = libraries.diffusers().StableDiffusionXLPipeline(
        vae=autoencoder,
        text_encoder=network.text_encoder,
        text_encoder_2=network.text_encoder_2,
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
        unet=network.unet,
        scheduler=scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def assemble(folder: Path, network: Network, autoencoder: Any, tokenizers: Path) -> int:
    """Write the folder anew, but for its card, and return its size in bytes.

    The parts are in half precision afterwards. Raises ValueError when the folder is too large.
    """
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    pipeline = pipeline_of(network, autoencoder, open_tokenizers(tokenizers))
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(unfinished, variant="fp16", safe_serialization=True)
    _never_clip(unfinished / "scheduler" / "scheduler_config.json")
    if (folder / CARD).exists():
        shutil.copy(folder / CARD, unfinished / CARD)
    size = sum(file.stat().st_size for file in unfinished.rglob("*") if file.is_file())
    if size > LARGEST_BYTES:
        raise ValueError(f"{unfinished} has {size} bytes, {LARGEST_BYTES} are allowed")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return size


def _never_clip(config: Path) -> None:
    """DDIM, made from this config, would clip latents to -1 to 1 unless it is told."""
    content = json.loads(config.read_text())
    content |= {"clip_sample": False, "set_alpha_to_one": False}
    config.write_text(json.dumps(content, indent=2) + "\n")

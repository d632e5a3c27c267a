"""Training the autoencoder: on crops of drawn pictures, for edges as well as for colours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daemon.embedded.recipe.autoencoder import whiten
from daemon.embedded.recipe.scenes import draw, scene
from daemon.embedded.recipe.styles import BLUEPRINT

FIRST_SEED = 10_000_000
POOL = 600


@dataclass(frozen=True, slots=True)
class Settings:
    """Crops start small, where steps are cheap, and end large."""

    steps: int = 6000
    batch: int = 8
    crop_px: int = 64
    last_crop_px: int = 128
    learning_rate: float = 1.2e-3
    average: float = 0.999
    seed: int = 0

    def crop(self, step: int) -> int:
        return self.crop_px if step < 0.72 * self.steps else self.last_crop_px

    def rate(self, step: int) -> float:
        """Warm up, then fall as a cosine."""
        fall = 0.5 * (1 + math.cos(math.pi * step / self.steps)) + 0.01
        return self.learning_rate * min(1.0, (step + 1) / 50) * fall


Report = Callable[[int, float], None]


def train_autoencoder(network: Any, settings: Settings, report: Report) -> None:
    """Train in place, average the weights, and fold the latents' statistics in."""
    device = next(network.parameters()).device
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4
    )
    average = {name: weight.clone() for name, weight in network.state_dict().items()}
    rng = Random(f"autoencoder/{settings.seed}")
    torch.manual_seed(settings.seed)
    pool = [_picture(rng, seed) for seed in range(FIRST_SEED, FIRST_SEED + 64)]
    for step in range(settings.steps):
        pool.append(_picture(rng, FIRST_SEED + 64 + step))
        del pool[:-POOL]
        crops = _crops(rng, pool, settings.batch, settings.crop(step)).to(device)
        optimizer.param_groups[0]["lr"] = settings.rate(step)
        optimizer.zero_grad(set_to_none=True)
        loss = reconstruction_error(network, crops)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        share = 1 - min(settings.average, (step + 1) / (step + 20))
        torch._foreach_lerp_(list(average.values()), list(network.state_dict().values()), share)
        report(step + 1, float(loss.detach()))
    network.load_state_dict(average)
    with torch.no_grad():
        whiten(network, _latents(network, pool[-64:]))


def reconstruction_error(network: Any, pictures: Tensor) -> Tensor:
    """Absolute error of pixels, of their differences and of 8 x 8 means, squared error, and KL.

    The KL term is that of Kingma and Welling 2013 (arXiv:1312.6114), weighted as latent diffusion
    does (Rombach et al. 2022, arXiv:2112.10752): it only keeps the latents from growing.
    """
    with torch.autocast(pictures.device.type, torch.bfloat16):
        posterior = network.encode(pictures).latent_dist
        mean, spread = posterior.mean.float(), posterior.logvar.float().clamp(-20, 4)
        drawn = network.decode(mean + torch.randn_like(mean) * (0.5 * spread).exp()).sample
    error = drawn.float() - pictures
    across, down = error.diff(dim=3).abs().mean(), error.diff(dim=2).abs().mean()
    coarse = torch.nn.functional.avg_pool2d(error, 8).abs().mean()
    divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).mean()
    pixels = error.abs().mean() + error.square().mean()
    total: Tensor = pixels + 0.5 * (across + down) + coarse + 1e-5 * divergence
    return total


def _picture(rng: Random, seed: int) -> Any:
    """A scene; one in eight as a blueprint, so that a LoRA's style can be decoded too."""
    picture = draw(scene(seed))
    return np.asarray(BLUEPRINT.restyled(picture) if rng.random() < 0.125 else picture)


def _crops(rng: Random, pool: list[Any], number: int, side: int) -> Tensor:
    crops = []
    for index in range(number):
        picture = rng.choice(pool)
        if index % 2:  # half of them from pictures at half the size
            blocks = picture.reshape(128, 2, 128, 2, 3).astype(np.uint16)
            picture = (blocks.sum((1, 3)) // 4).astype(np.uint8)
        top, left = (rng.randint(0, length - side) for length in picture.shape[:2])
        crop = picture[top : top + side, left : left + side]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        if rng.random() < 0.12:
            crop = crop[..., rng.sample(range(3), 3)]
        crops.append(torch.from_numpy(crop.copy()))
    return torch.stack(crops).permute(0, 3, 1, 2).float() / 127.5 - 1


def _latents(network: Any, pictures: list[Any]) -> Tensor:
    device = next(network.parameters()).device
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    parts = [network.encode(part.to(device)).latent_dist.mean for part in torch.split(batch, 16)]
    return torch.cat(parts).float()

"""The noise that latents are trained with, and what is learned from it."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

TIMESTEPS = 1000
BETAS = (0.0001, 0.02)
"""First and last of linear betas (Ho et al. 2020, arXiv:2006.11239).

At the last timestep 0.6 % of the signal is left, hence no scheduler starts from what training
never saw (Lin et al. 2023, arXiv:2305.08891).
"""
PLAIN_SHARE = 0.3
MIDDLE, SPREAD = 0.2, 0.8
EMPTY_SHARE, ZERO_SHARE = 0.05, 0.05


def signal_shares() -> Tensor:
    """The cumulative products of 1 - beta, (1000,), double precision."""
    return torch.cumprod(1 - torch.linspace(*BETAS, TIMESTEPS, dtype=torch.float64), 0)


def draw_timesteps(number: int, generator: Generator) -> Tensor:
    """Mostly where outlines are decided: 0.3 uniform, else sigmoid(normal(0.2, 0.8)).

    Logit-normal as in Esser et al. 2024 (arXiv:2403.03206); with linear betas and 32 x 32 latents
    figures take shape around timestep 550.
    """
    device = generator.device
    plain = torch.rand(number, generator=generator, device=device)
    middle = MIDDLE + SPREAD * torch.randn(number, generator=generator, device=device)
    chosen = torch.rand(number, generator=generator, device=device) < PLAIN_SHARE
    shares = torch.where(chosen, plain, middle.sigmoid())
    return (shares * TIMESTEPS).long().clamp(0, TIMESTEPS - 1)


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """The noisy latents and their velocity, the target (Salimans and Ho 2022, arXiv:2202.00512)."""
    share = signal_shares().to(latents)[timesteps].view(-1, 1, 1, 1)
    signal, spread = share.sqrt(), (1 - share).sqrt()
    return signal * latents + spread * noise, signal * noise - spread * latents


def draw_drops(number: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Which captions become empty, and which embeddings zero: SDXL's two unconditional forms."""
    share = torch.rand(number, generator=generator, device=generator.device)
    empty = share < EMPTY_SHARE
    return empty, ~empty & (share < EMPTY_SHARE + ZERO_SHARE)

"""Training the denoiser: every step follows from the settings and its number."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from daemon.embedded.recipe.checkpoints import State
from daemon.embedded.recipe.diffusion import draw_drops, draw_timesteps, noised
from daemon.embedded.recipe.network import Network, prepare
from daemon.embedded.recipe.shards import Encoded

STRANGE_SIZES = 0.08
"""Share of pictures that are said to be cut from another size, which SDXL's users may claim."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how fast. `views` counts pictures, so it means the same at any batch."""

    views: int
    batch: int = 32
    learning_rate: float = 8e-4
    warmup: int = 100
    decay_share: float = 0.4
    """The last part of the training, in which the learning rate falls to 2 % (arXiv:2404.06395)."""
    average: float = 0.998
    seed: int = 0
    save_seconds: float = 180.0

    @property
    def steps(self) -> int:
        return self.views // self.batch

    def rate(self, step: int) -> float:
        """Warm up, stay, fall linearly."""
        left = (self.steps - step) / max(1.0, self.steps * self.decay_share)
        return (
            self.learning_rate * min(1.0, (step + 1) / self.warmup) * (0.02 + 0.98 * min(1.0, left))
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Latents (b, 4, h, w), ids (b, 77) twice, SDXL's size conditions (b, 6), words' weights."""

    latents: Tensor
    ids: Tensor
    ids_2: Tensor
    sizes: Tensor
    weights: Tensor | None


Report = Callable[[int, float], None]
"""Told after each step: how many are done, and the step's loss."""


def train(
    network: Network,
    state: State,
    data: Sequence[Encoded],
    empty: tuple[Tensor, Tensor],
    settings: Settings,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train from `state.step` to the end. A kill costs what came after the last checkpoint.

    Resumed, a training on a CPU is bit-equal to one that was never stopped. `empty` are the ids of
    the empty caption.
    """
    prepare(network)
    saved = time.monotonic()
    while state.step < settings.steps:
        generator = _seeded(settings.seed, state.step, device=network.unet.device)
        batch = batch_at(data, settings, state.step, generator)
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(state.step)
            optimizer.zero_grad(set_to_none=True)
        loss = velocity_error(network, batch, empty, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(state.parameters.values()), 1.0)
        for optimizer in state.optimizers:
            optimizer.step()
        state.follow(settings.average)
        state.step += 1
        if time.monotonic() - saved > settings.save_seconds:
            state.save(checkpoint)
            saved = time.monotonic()
        report(state.step, float(loss.detach()))
    state.save(checkpoint)


def velocity_error(
    network: Network, batch: Batch, empty: tuple[Tensor, Tensor], generator: Generator
) -> Tensor:
    """The mean squared error of the predicted velocity, at drawn noise and timesteps."""
    number, latents = len(batch.latents), batch.latents.float()
    no_caption, no_text = draw_drops(number, generator)
    ids, ids_2 = (
        torch.where(no_caption[:, None], nothing, some).long()
        for nothing, some in zip(empty, (batch.ids, batch.ids_2), strict=True)
    )
    weights = batch.weights
    if weights is not None:
        weights = torch.where(no_caption[:, None], 1.0, weights)
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    timesteps = draw_timesteps(number, generator)
    noisy, velocity = noised(latents, noise, timesteps)
    with torch.autocast(latents.device.type, torch.bfloat16):
        tokens, pooled = network.encode(ids, ids_2, weights)
        kept = (~no_text).to(tokens.dtype)[:, None]
        text = tokens * kept[:, None], pooled * kept
        predicted = network.predict(noisy, timesteps, text, batch.sizes)
    return (predicted.float() - velocity).square().mean()


def batch_at(data: Sequence[Encoded], settings: Settings, step: int, generator: Generator) -> Batch:
    """The batch of a step: each epoch shows every scene once, its batches in a drawn order."""
    order = _order(tuple(map(len, data)), settings, step)
    group, first = order[step % len(order)]
    shown = data[group]
    epoch = step // len(order)
    mixed = torch.randperm(len(shown), generator=_seeded(settings.seed, epoch, group, 1))
    chosen = mixed[first : first + settings.batch].to(shown.latents.device)
    return Batch(
        shown.latents[chosen],
        shown.ids[chosen],
        shown.ids_2[chosen],
        _sizes(shown, len(chosen), generator),
        None if shown.weights is None else shown.weights[chosen],
    )


def _order(lengths: tuple[int, ...], settings: Settings, step: int) -> list[tuple[int, int]]:
    batches = [
        (group, first)
        for group, length in enumerate(lengths)
        for first in range(0, length - settings.batch + 1, settings.batch)
    ]
    if not batches:
        raise ValueError(f"no size has the {settings.batch} scenes of a batch: {lengths}")
    epoch = step // len(batches)
    mixed = torch.randperm(len(batches), generator=_seeded(settings.seed, epoch, 0, 2))
    return [batches[index] for index in mixed]


def _sizes(shown: Encoded, number: int, generator: Generator) -> Tensor:
    """Original size, crop and target size, height first, as SDXL orders them."""
    device = shown.latents.device
    width, height = shown.size
    own = torch.tensor([height, width, 0, 0, height, width], device=device, dtype=torch.float32)
    claimed = torch.randint(8, 65, (number, 2), generator=generator, device=device).float() * 8
    strange = own.repeat(number, 1)
    strange[:, 0:2], strange[:, 4:6] = claimed, claimed
    chosen = torch.rand(number, 1, generator=generator, device=device) < STRANGE_SIZES
    return torch.where(chosen, strange, own)


def _seeded(*numbers: int, device: torch.device | None = None) -> Generator:
    """A generator that follows from the numbers alone."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 7) % (1 << 62)
    return Generator(device or torch.device("cpu")).manual_seed(mixed)

"""Scenes drawn, encoded and tokenised once: shards on disk, whole in the device's memory.

A shard is a safetensors file of scenes of one size: `latents` (n, 4, h/8, w/8) half precision,
`ids` and `ids_2` (n, 77) int16, and in a style's also `weights` (n, 77). Its number alone decides
what is in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from daemon.embedded.recipe.styles import Style, drawn_and_told
from daemon.families.chunks import Chunker
from daemon.families.weighting import parse

Size = tuple[int, int]
"""Width and height in pixels."""

LADDER: tuple[Size, ...] = (
    *((256, 256),) * 11, (128, 128), (256, 192), (192, 256), (384, 384), (320, 256),
)  # fmt: skip
"""The sizes of shards in turn: mostly the one that is shown, and enough others to keep them."""
FIRST_SEED = 100_000_000
BATCH = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What a set of shards holds. `style` restyles every picture and adds its trigger word."""

    shards: int
    scenes: int = 1024
    ladder: tuple[Size, ...] = LADDER
    style: Style | None = None

    def size(self, shard: int) -> Size:
        return self.ladder[shard % len(self.ladder)]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Scenes of one size on the device."""

    size: Size
    latents: Tensor
    ids: Tensor
    ids_2: Tensor
    weights: Tensor | None = None
    """What each token weighs, (n, 77), where not all weigh 1."""

    def __len__(self) -> int:
        return len(self.latents)


def encode_shards(
    folder: Path,
    plan: Plan,
    autoencoder: Any,
    tokenizers: tuple[Any, Any],
    report: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the shards that are missing, and report each one's number; a kill costs one shard.

    Drawing takes a process a core, which imports no torch; encoding runs where the autoencoder is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(plan.shards) if not _path(folder, number).exists()]
    if not missing:
        return
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for number in missing:
            _write(_path(folder, number), _encode(pool, plan, number, autoencoder, tokenizers))
            report(number)


def load_shards(folder: Path, plan: Plan, device: torch.device) -> list[Encoded]:
    """All scenes of the plan on the device, grouped by size."""
    groups: dict[Size, list[dict[str, Tensor]]] = {}
    for number in range(plan.shards):
        groups.setdefault(plan.size(number), []).append(load_file(_path(folder, number)))
    return [
        Encoded(size, **{key: torch.cat([one[key] for one in some]).to(device) for key in some[0]})
        for size, some in groups.items()
    ]


def tokenise(tokenizers: tuple[Any, Any], captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Ids for both encoders, (n, 77) int16 each, padded as SDXL does."""
    one, two = (
        torch.tensor(
            tokenizer(
                list(captions), padding="max_length", max_length=77, truncation=True
            ).input_ids,
            dtype=torch.int16,
        )
        for tokenizer in tokenizers
    )
    return one, two


def tokenise_weighted(tokenizers: tuple[Any, Any], captions: Sequence[str]) -> dict[str, Tensor]:
    """Ids of captions with weights in A1111's syntax, as genzo reads them, and their weights."""
    prompts = [parse(caption).sections for caption in captions]
    one, two = (
        [chunker.cut(prompt)[0] for prompt in prompts]
        for chunker in (Chunker(tokenizer) for tokenizer in tokenizers)
    )
    return {
        "ids": torch.tensor([chunk.ids for chunk in one], dtype=torch.int16),
        "ids_2": torch.tensor([chunk.ids for chunk in two], dtype=torch.int16),
        "weights": torch.tensor([chunk.weights for chunk in one]),
    }


def _encode(
    pool: ProcessPoolExecutor,
    plan: Plan,
    number: int,
    autoencoder: Any,
    tokenizers: tuple[Any, Any],
) -> dict[str, Tensor]:
    first = FIRST_SEED + number * plan.scenes
    captions: list[str] = []
    latents: list[Tensor] = []
    made = pool.map(
        partial(drawn_and_told, plan.size(number), plan.style),
        range(first, first + plan.scenes),
        chunksize=16,
    )
    for some in _batches(made):
        captions += [caption for _, caption in some]
        latents.append(_latents(autoencoder, [picture for picture, _ in some]))
    encoded = {"latents": torch.cat(latents).contiguous()}
    if plan.style is not None:
        return encoded | tokenise_weighted(tokenizers, captions)
    ids, ids_2 = tokenise(tokenizers, captions)
    return encoded | {"ids": ids, "ids_2": ids_2}


def _batches(made: Iterator[tuple[Any, str]]) -> Iterator[list[tuple[Any, str]]]:
    batch = []
    for one in made:
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def _latents(autoencoder: Any, pictures: list[Any]) -> Tensor:
    batch = torch.from_numpy(np.stack(pictures)).to(autoencoder.device)
    batch = batch.permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.autocast(autoencoder.device.type, torch.bfloat16):
        mean: Tensor = autoencoder.encode(batch).latent_dist.mean
    return mean.to("cpu", torch.float16)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.safetensors"


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    partial_path = path.with_suffix(".part")
    save_file(tensors, partial_path)
    partial_path.replace(path)

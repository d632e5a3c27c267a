"""The stages from nothing to the shipped folder; each one done is found in the run's folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from daemon import libraries
from daemon.embedded.recipe import reconstruction
from daemon.embedded.recipe.assembling import assemble, pipeline_of
from daemon.embedded.recipe.autoencoder import new_autoencoder
from daemon.embedded.recipe.checkpoints import State
from daemon.embedded.recipe.growth import grow
from daemon.embedded.recipe.lora import save_lora, train_lora
from daemon.embedded.recipe.muon import optimizers
from daemon.embedded.recipe.network import Architecture, Network, new_network, open_network
from daemon.embedded.recipe.previews import write_previews
from daemon.embedded.recipe.progress import Progress
from daemon.embedded.recipe.shards import Plan, encode_shards, load_shards, tokenise
from daemon.embedded.recipe.styles import BLUEPRINT, Style
from daemon.embedded.recipe.training import Settings, train
from daemon.embedded.recipe.vocabulary import PADDING, learn_tokenizers, open_tokenizers

PREVIEW_STEPS = 2000


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result.

    `work` keeps shards and checkpoints; `start` is a model folder whose tokenizers, autoencoder
    and weights are gone on from, grown to the architecture.
    """

    work: Path
    settings: Settings
    plan: Plan
    autoencoder: reconstruction.Settings = field(default_factory=reconstruction.Settings)
    architecture: Architecture = field(default_factory=Architecture)
    start: Path | None = None
    device: torch.device = field(default_factory=best_device)


def run(recipe: Recipe, progress: Progress) -> Network:
    """Everything up to the trained network, its averaged weights in force, on the CPU.

    Killed and run again, it goes on where it was.
    """
    recipe.work.mkdir(parents=True, exist_ok=True)
    autoencoder = prepare_autoencoder(recipe, progress)
    tokenizers = open_tokenizers(prepare_tokenizers(recipe))
    shards = recipe.work / "shards"
    with progress.task("scenes", recipe.plan.shards) as done:
        encode_shards(shards, recipe.plan, autoencoder, tokenizers, lambda number: done(number + 1))
    network = start_network(recipe, len(tokenizers[0])).to(recipe.device)
    parameters = network.parameters()
    state = State.begun(parameters, optimizers(parameters, recipe.settings.learning_rate))
    checkpoint = recipe.work / "network.checkpoint"
    if checkpoint.exists():
        state.load(checkpoint)
    data = load_shards(shards, recipe.plan, recipe.device)
    empty = no_words(tokenizers, recipe.device)
    pipeline = pipeline_of(network, autoencoder, tokenizers)
    with progress.task("network", recipe.settings.steps) as done:

        def report(step: int, loss: float) -> None:
            done(step, loss)
            if step % PREVIEW_STEPS == 0:
                state.swap()
                write_previews(pipeline, recipe.work / f"previews-{step:06d}.png")
                state.swap()

        train(network, state, data, empty, recipe.settings, checkpoint, report)
    state.swap()
    return network.to(torch.device("cpu"))


def run_lora(recipe: Recipe, folder: Path, file: Path, progress: Progress) -> None:
    """A LoRA on a model folder: half the scenes in its style, half plain and without its word."""
    style: Style = BLUEPRINT
    network = open_network(folder).to(recipe.device)
    autoencoder = open_autoencoder(folder).to(recipe.device)
    tokenizers = open_tokenizers(folder)
    data = []
    for name, wanted in (("plain", None), (style.trigger, style)):
        plan = Plan(recipe.plan.shards, recipe.plan.scenes, recipe.plan.ladder, wanted)
        shards = recipe.work / f"shards-{name}"
        encode_shards(shards, plan, autoencoder, tokenizers)
        data += load_shards(shards, plan, recipe.device)
    with progress.task("LoRA", recipe.settings.steps) as done:
        empty = no_words(tokenizers, recipe.device)
        train_lora(network, data, empty, recipe.settings, recipe.work / "lora.checkpoint", done)
    save_lora(network, file, style)


def ship(recipe: Recipe, network: Network, folder: Path) -> int:
    """Write the model folder; its size in bytes."""
    autoencoder = open_autoencoder(recipe.start or recipe.work)
    return assemble(folder, network, autoencoder, recipe.start or recipe.work)


def prepare_tokenizers(recipe: Recipe) -> Path:
    """The folder with both tokenizers."""
    if recipe.start is not None:
        return recipe.start
    if not all((recipe.work / name).exists() for name in PADDING):
        learn_tokenizers(recipe.work)
    return recipe.work


def prepare_autoencoder(recipe: Recipe, progress: Progress) -> Any:
    """The autoencoder, trained unless there is one."""
    if recipe.start is not None:
        return open_autoencoder(recipe.start).to(recipe.device)
    if not (recipe.work / "vae").exists():
        network = new_autoencoder().to(recipe.device)
        with progress.task("autoencoder", recipe.autoencoder.steps) as done:
            reconstruction.train_autoencoder(network, recipe.autoencoder, done)
        unfinished = recipe.work / "vae.part"
        network.save_pretrained(unfinished, variant="fp16")
        os.replace(unfinished, recipe.work / "vae")
    return open_autoencoder(recipe.work).to(recipe.device)


def open_autoencoder(folder: Path) -> Any:
    autoencoder = libraries.diffusers().AutoencoderKL.from_pretrained(
        folder / "vae", variant="fp16", torch_dtype=torch.float32
    )
    return autoencoder.eval().requires_grad_(requires_grad=False)


def start_network(recipe: Recipe, vocabulary: int) -> Network:
    """New weights, or the start's in the recipe's architecture."""
    if recipe.start is None:
        return new_network(recipe.architecture, vocabulary, recipe.settings.seed + 1)
    return grow(open_network(recipe.start), recipe.architecture)


def no_words(tokenizers: tuple[Any, Any], device: torch.device) -> tuple[Any, Any]:
    """The ids of the empty caption, (1, 77) each."""
    ids, ids_2 = tokenise(tokenizers, [""])
    return ids.to(device), ids_2.to(device)

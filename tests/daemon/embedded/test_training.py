from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daemon.embedded.recipe.checkpoints import State
from daemon.embedded.recipe.diffusion import draw_timesteps, noised, signal_shares
from daemon.embedded.recipe.muon import optimizers
from daemon.embedded.recipe.network import Network, new_network
from daemon.embedded.recipe.shards import Encoded
from daemon.embedded.recipe.training import Settings, batch_at, train
from tests.daemon.embedded.conftest import TINY

SETTINGS = Settings(views=48, batch=4, learning_rate=2e-3, warmup=2, save_seconds=0.0)
EMPTY = (torch.zeros(1, 77, dtype=torch.int16),) * 2


class Killed(Exception):
    pass


def scenes() -> list[Encoded]:
    generator = torch.Generator().manual_seed(3)
    groups = []
    for width, height in ((64, 64), (96, 64)):
        ids = torch.randint(0, 100, (10, 77), generator=generator).short()
        latents = torch.randn(10, 4, height // 8, width // 8, generator=generator).half()
        groups.append(Encoded((width, height), latents, ids, ids))
    return groups


def begin() -> tuple[Network, State]:
    network = new_network(TINY, 100)
    parameters = network.parameters()
    return network, State.begun(parameters, optimizers(parameters, SETTINGS.learning_rate))


def go(network: Network, state: State, file: Path, stop: int | None = None) -> list[float]:
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if step == stop:
            raise Killed

    train(network, state, scenes(), EMPTY, SETTINGS, file, report)
    return losses


def test_a_training_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole_network, whole = begin()
    expected = go(whole_network, whole, tmp_path / "whole")

    network, state = begin()
    with pytest.raises(Killed):
        go(network, state, tmp_path / "killed", stop=5)
    network, state = begin()
    state.load(tmp_path / "killed")
    assert state.step == 5
    assert go(network, state, tmp_path / "killed") == expected[5:]
    for name, weight in whole.parameters.items():
        assert torch.equal(state.parameters[name], weight), name
        assert torch.equal(state.average[name], whole.average[name]), name


def test_an_epoch_shows_every_scene_of_whole_batches_once() -> None:
    data = scenes()
    batches = [
        batch_at(data, SETTINGS, step, torch.Generator().manual_seed(step)) for step in range(4)
    ]
    for group in data:
        shown = [b.latents for b in batches if b.latents.shape[1:] == group.latents.shape[1:]]
        seen = {tuple(latents.flatten().tolist()) for latents in torch.cat(shown)}
        assert len(seen) == 8
    assert batches[0].latents.shape[0] == 4


def test_a_checkpoint_of_another_architecture_is_refused_and_named(tmp_path: Path) -> None:
    _, state = begin()
    state.save(tmp_path / "checkpoint")
    parameters = new_network(replace(TINY, top_attention=False), 100).parameters()
    other = State.begun(parameters, optimizers(parameters, 1e-3))
    with pytest.raises(ValueError, match="another architecture"):
        other.load(tmp_path / "checkpoint")


def test_the_weights_are_back_after_a_preview() -> None:
    _, state = begin()
    name = "unet.conv_in.weight"
    with torch.no_grad():
        state.parameters[name].add_(1)
    before, average = state.parameters[name].clone(), state.average[name].clone()
    state.swap()
    assert torch.equal(state.parameters[name], average)
    state.swap()
    assert torch.equal(state.parameters[name], before)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    settings = Settings(views=32_000, batch=32, learning_rate=1.0, warmup=100, decay_share=0.5)
    assert settings.rate(0) == pytest.approx(0.01)
    assert settings.rate(300) == 1.0
    assert 0.4 < settings.rate(750) < 0.6
    assert settings.rate(999) < 0.03


def test_latents_and_noise_are_found_again_from_the_velocity() -> None:
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 5, 4, 8, 8, generator=generator)
    timesteps = torch.tensor([0, 200, 550, 800, 999])
    noisy, velocity = noised(latents, noise, timesteps)
    share = signal_shares().float()[timesteps].view(-1, 1, 1, 1)
    torch.testing.assert_close(share.sqrt() * noisy - (1 - share).sqrt() * velocity, latents)
    assert share[-1].sqrt() < 0.007


def test_timesteps_lie_mostly_in_the_middle() -> None:
    drawn = draw_timesteps(4000, torch.Generator().manual_seed(0))
    assert drawn.min() >= 0
    assert drawn.max() <= 999
    middle = ((drawn > 250) & (drawn < 800)).float().mean()
    assert middle > 0.7

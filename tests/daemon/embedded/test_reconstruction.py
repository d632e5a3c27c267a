from __future__ import annotations

import torch

from daemon.embedded.recipe.autoencoder import new_autoencoder, whiten
from daemon.embedded.recipe.looks import pixels
from daemon.embedded.recipe.reconstruction import Settings, train_autoencoder
from daemon.embedded.recipe.scenes import draw, scene


def test_it_learns_from_the_first_steps_and_leaves_the_plateau() -> None:
    torch.manual_seed(0)
    losses: list[float] = []
    settings = Settings(steps=30, batch=4, crop_px=32, last_crop_px=32)
    train_autoencoder(new_autoencoder(), settings, lambda _, loss: losses.append(loss))
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


@torch.inference_mode()
def test_whitened_latents_have_mean_0_and_deviation_1_and_decode_as_before() -> None:
    torch.manual_seed(0)
    network = new_autoencoder().eval()
    pictures = [pixels(draw(scene(seed), 64, 64)) for seed in range(8)]
    batch = torch.stack([torch.from_numpy(one.copy()) for one in pictures])
    batch = batch.permute(0, 3, 1, 2).float() / 127.5 - 1
    before = network.encode(batch).latent_dist.mean
    decoded = network.decode(before).sample
    whiten(network, before)
    after = network.encode(batch).latent_dist.mean
    torch.testing.assert_close(after.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(network.decode(after).sample, decoded, atol=1e-3, rtol=1e-3)

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from daemon.embedded.recipe.growth import grow
from daemon.embedded.recipe.network import Architecture, Network, new_network
from tests.daemon.embedded.conftest import TINY

SMALL = replace(TINY, top_attention=False, text_layers=(2, 3))


def outputs(network: Network) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 100, (2, 77), generator=generator)
    noisy = torch.randn(2, 4, 8, 8, generator=generator)
    sizes = torch.full((2, 6), 64.0)
    with torch.inference_mode():
        text = network.encode(ids, ids)
        return [*text, network.predict(noisy, torch.tensor([10, 900]), text, sizes)]


def stirred(architecture: Architecture) -> Network:
    """Untrained weights are zero where it matters; these are as a training leaves them."""
    network = new_network(architecture, 100)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return network


def test_a_grown_network_computes_the_same() -> None:
    small = stirred(SMALL)
    large = grow(small, TINY)
    assert large.text_encoder.config.num_hidden_layers == 4
    assert len(large.parameters()) > len(small.parameters())
    for before, after in zip(outputs(small), outputs(large), strict=True):
        assert before.std() > 0.01
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)


def test_what_was_grown_can_learn() -> None:
    large = grow(stirred(SMALL), TINY)
    ids = torch.randint(0, 100, (2, 77))
    output = large.predict(
        torch.randn(2, 4, 8, 8), torch.tensor([10, 900]), large.encode(ids, ids), torch.ones(2, 6)
    )
    output.square().mean().backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad for name, p in large.parameters().items()}
    for name in (
        "unet.down_blocks.0.attentions.0.proj_out.weight",
        "text_encoder.encoder.layers.1.mlp.fc2.weight",
        "text_encoder_2.text_model.encoder.layers.2.mlp.fc2.weight",
    ):
        gradient = gradients[name]
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_other_widths_are_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match=r"block_out_channels.*8, 8, 8.*8, 8, 16"):
        grow(stirred(SMALL), replace(TINY, widths=(8, 8, 16)))


def test_a_text_encoder_does_not_shrink() -> None:
    with pytest.raises(ValueError, match="4 layers cannot shrink to 2"):
        grow(stirred(replace(SMALL, text_layers=(4, 3))), SMALL)

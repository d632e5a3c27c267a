"""The random numbers in the tiny models: the same every time, and no two tensors alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw the weights of what is built inside from `seed`; other numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def roughen(*networks: torch.nn.Module) -> None:
    """Make every tensor differ from every other, so that a mix-up of two names shows.

    As built all norms are ones, and many biases and Z-Image's padding tokens zeros.
    """
    with torch.no_grad():
        for network in networks:
            for name, parameter in network.named_parameters():
                if parameter.dim() < 2 or name.endswith("pad_token"):
                    parameter.add_(torch.randn_like(parameter), alpha=0.05)

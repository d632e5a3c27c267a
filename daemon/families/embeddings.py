"""Prompt embeddings, remembered: a batch, and the next job, often say the same again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch

Key = tuple[Hashable, ...]
"""All that decides embeddings: the encoder and its adapters, the dtype, the text."""

Tensors = tuple[torch.Tensor, ...]

_CAPACITY_BYTES = 128 * 2**20


class EmbeddingCache:
    """Tensors by what they were encoded from, at most `capacity_bytes` of them.

    What was used longest ago goes first. The tensors stay on their device: beside a T5 encoder,
    whose 512 tokens are 4 MiB in bfloat16, the default is 32 prompts.
    """

    def __init__(self, capacity_bytes: int = _CAPACITY_BYTES) -> None:
        self._capacity_bytes = capacity_bytes
        self._known: OrderedDict[Key, Tensors] = OrderedDict()
        self.size_bytes = 0

    def move(self, device: torch.device) -> None:
        """Keep what is known on `device` from now on; what is asked for there moves back."""
        self._known = OrderedDict(
            (key, tuple(tensor.to(device) for tensor in tensors))
            for key, tensors in self._known.items()
        )
        self.size_bytes = sum(map(_size_bytes, self._known.values()))

    def get(self, key: Key, encode: Callable[[], Tensors]) -> Tensors:
        """The tensors of `key`, made by `encode` when they are not known."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        tensors = encode()
        self._known[key] = tensors
        self.size_bytes += _size_bytes(tensors)
        while self.size_bytes > self._capacity_bytes:
            _, oldest = self._known.popitem(last=False)
            self.size_bytes -= _size_bytes(oldest)
        return tensors


def _size_bytes(tensors: Tensors) -> int:
    # A view keeps all of its storage alive.
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)

"""What the families' models do alike: come, go and decode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from daemon.families.autoencoder import Autoencoder
from daemon.families.embeddings import EmbeddingCache
from daemon.families.offloading import CPU
from daemon.families.parameters import default_size
from daemon.families.residency import Residency
from spool.jobs import JobRequest

if TYPE_CHECKING:
    from PIL.Image import Image


class Resident:
    """A model whose networks its residency moves; see `daemon.families.base.Model`."""

    def __init__(
        self,
        parameters: type[JobRequest],
        autoencoder: Autoencoder,
        residency: Residency,
        embeddings: EmbeddingCache,
    ) -> None:
        self.parameters = parameters
        self._autoencoder = autoencoder
        self._residency = residency
        self._embeddings = embeddings

    def wake(self) -> None:
        self._residency.run(default_size(self.parameters), lambda: None)

    def park(self) -> None:
        self._residency.park()
        self._embeddings.move(CPU)

    def tensors(self) -> Iterator[torch.Tensor]:
        return self._residency.tensors()

    def decode(self, latents: torch.Tensor) -> Image:
        try:
            return self._autoencoder.decode(latents)
        finally:
            self._residency.rest()

"""How much memory a computation holds at its peak, counted without doing it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations make, as long as a tensor uses them."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        weights = (*module.parameters(), *module.buffers())
        self._weights = {tensor.untyped_storage()._cdata for tensor in weights}
        self._users: dict[int, int] = {}
        self._live = 0
        self.peak_bytes = 0

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor)
        return made

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size_bytes = storage._cdata, storage.nbytes()
        if key in self._weights:
            return
        if key not in self._users:
            self._users[key] = 0
            self._live += size_bytes
            self.peak_bytes = max(self.peak_bytes, self._live)
        self._users[key] += 1
        weakref.finalize(tensor, self._release, key, size_bytes)

    def _release(self, key: int, size_bytes: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key]
            self._live -= size_bytes


def peak_bytes(module: torch.nn.Module, run: Callable[[], object]) -> int:
    """The most bytes that are alive at once while `run` calls a module on the meta device."""
    live = LiveTensors(module)
    with torch.no_grad(), fused_attention(), live:
        run()
    return live.peak_bytes


@contextmanager
def fused_attention() -> Iterator[None]:
    """Attention as the GPU's kernels do it, with nothing alive but its result."""

    def fused(query: torch.Tensor, key: object, value: torch.Tensor, **_: object) -> torch.Tensor:
        del key
        return query.new_empty(*query.shape[:-1], value.shape[-1])

    functional: Any = torch.nn.functional
    real = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = real

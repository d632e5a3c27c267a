"""Loaded models: the one that renders where it renders, the others warm in the host's memory."""

from __future__ import annotations

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from daemon.families import Model
from daemon.host_memory import total_bytes

log = logging.getLogger(__name__)


class WarmModels:
    """Models by name, within a budget of bytes.

    The budget counts all of them, the one that renders included: while models change places, both
    are in the host's memory. Memory that two models share counts once. What was used longest ago
    is dropped first; a model that is larger than the budget is kept only while it renders.
    """

    def __init__(self, budget_bytes: int | None = None) -> None:
        self._budget_bytes = total_bytes() // 2 if budget_bytes is None else budget_bytes
        self._models: OrderedDict[str, Model] = OrderedDict()
        self.current: str | None = None
        """The model that renders."""

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def use(self, name: str, expected_bytes: Callable[[], int], load: Callable[[], Model]) -> Model:
        """The model `name` in place of the one that rendered before.

        One that is not here is made by `load`, and room for `expected_bytes` is made before.
        Raises what these two raise; no model renders then, and those that were warm still are.
        """
        if name == self.current:
            return self._models[name]
        started = time.monotonic()
        how = "from the host's memory" if name in self else "from the disk"
        extra_bytes = 0 if name in self else expected_bytes()
        before, self.current = self.current, None
        self._make_room(name, extra_bytes)
        if before is not None and before in self:
            # It goes first: two do not always fit.
            self._models[before].park()
        if name not in self:
            self._models[name] = load()
        self._models.move_to_end(name)
        self._make_room(name, 0)
        model = self._models[name]
        model.wake()
        self.current = name
        after = f" after {before}" if before else ""
        log.info("model %s loaded %s%s in %.1f s", name, how, after, time.monotonic() - started)
        return model

    def clear(self) -> None:
        """Drop every model, wherever it lies."""
        if self.current is not None:
            self._models[self.current].park()
        self.current = None
        self._models.clear()
        # A pipeline hangs in reference cycles.
        gc.collect()

    def _make_room(self, name: str, extra_bytes: int) -> None:
        """Drop models other than `name` until the rest and `extra_bytes` are within the budget."""
        others = [other for other in self._models if other != name]
        for other in others:
            held_bytes = resident_bytes(self._models.values())
            if held_bytes + extra_bytes <= self._budget_bytes:
                return
            del self._models[other]
            # A pipeline hangs in reference cycles.
            gc.collect()
            freed_bytes = held_bytes - resident_bytes(self._models.values())
            log.info(
                "model %s dropped: %s and the others would take %.1f GiB of host memory, more "
                "than the %.1f GiB of `host_memory`; it held %.1f GiB",
                other,
                name,
                (held_bytes + extra_bytes) / 2**30,
                self._budget_bytes / 2**30,
                freed_bytes / 2**30,
            )


def resident_bytes(models: Iterable[Model]) -> int:
    """The bytes of all parameters and buffers, wherever they lie; what is shared counts once."""
    tensors = {
        tensor.data_ptr(): tensor.numel() * tensor.element_size()
        for model in models
        for tensor in model.tensors()
    }
    return sum(tensors.values())

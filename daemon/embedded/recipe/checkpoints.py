"""What a training needs to go on after a kill, in one file that is whole or absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(slots=True)
class State:
    """Weights, their running average, the optimizers, and how many steps are done.

    The step says everything else: data, noise and learning rate follow from it.
    """

    parameters: dict[str, nn.Parameter]
    average: dict[str, Tensor]
    optimizers: list[torch.optim.Optimizer]
    step: int = 0

    @classmethod
    def begun(
        cls, parameters: dict[str, nn.Parameter], optimizers: list[torch.optim.Optimizer]
    ) -> State:
        average = {name: weight.detach().clone() for name, weight in parameters.items()}
        return cls(parameters, average, optimizers)

    def save(self, path: Path) -> None:
        """Replace the checkpoint; a kill leaves the old one."""
        content: dict[str, Any] = {
            "weights": {name: weight.detach() for name, weight in self.parameters.items()},
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
        }
        unfinished = path.with_suffix(".part")
        torch.save(content, unfinished)
        unfinished.replace(path)

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same architecture. Raises ValueError for another's."""
        # Our own file; weights_only keeps it from being more than tensors and numbers.
        content = torch.load(path, weights_only=True, map_location="cpu")
        if content["weights"].keys() != self.parameters.keys():
            raise ValueError(
                f"{path} belongs to another architecture; remove it, or train it to its end"
            )
        for name, parameter in self.parameters.items():
            parameter.copy_(content["weights"][name])
            self.average[name].copy_(content["average"][name])
        for optimizer, state in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step = content["step"]

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the average towards the weights; early on faster, so that the start is forgotten."""
        share = 1 - min(decay, (self.step + 1) / (self.step + 20))
        current = [parameter.detach() for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.average.values()), current, share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and average: before a preview, and again after it."""
        for name, parameter in self.parameters.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(kept)

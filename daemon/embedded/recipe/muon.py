"""Muon: momentum whose matrices are made orthogonal before the step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
MOMENTUM = 0.95
OUTSIDE = ("embedding", "conv_in", "conv_out")
"""What is no map between hidden features learns with AdamW."""


class Muon(torch.optim.Optimizer):
    """For weights of two and more dimensions, seen as (outputs, the rest).

    Jordan et al. 2024 (kellerjordan.github.io/posts/muon), with the update's scale of Liu et al.
    2025 (arXiv:2502.16982): as large as AdamW's, so both take the same learning rate. That it is
    better here is weakly shown: in one run each of 200 steps from the same weights its validation
    loss was 0.1462, AdamW's 0.1487, at one learning rate and without a repetition.
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float = 0.01):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            # Matrices of one form go through the iteration together.
            alike: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[len(parameter), parameter[0].numel()].append(parameter)
            for form, parameters in alike.items():
                updates = orthogonal(torch.stack([self._moved(p) for p in parameters]))
                scale = group["lr"] * 0.2 * math.sqrt(max(form))
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.reshape(parameter.shape), alpha=-scale)

    def _moved(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        momentum: Tensor = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
        moved: Tensor = parameter.grad.lerp(momentum, MOMENTUM).flatten(1)
        return moved


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly U V' of each matrix's U S V', (number, rows, columns): five Newton-Schulz steps."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = x.mT if tall else x
    return found.to(matrices.dtype)


def optimizers(parameters: Mapping[str, nn.Parameter], lr: float) -> list[torch.optim.Optimizer]:
    """Muon for what maps features to features, AdamW for the rest."""
    inner = {name: p for name, p in parameters.items() if _is_inner(name, p)}
    outer = [p for name, p in parameters.items() if name not in inner]
    options: dict[str, Any] = {"betas": (0.9, 0.98), "weight_decay": 0.0}
    return [Muon(list(inner.values()), lr), torch.optim.AdamW(outer, lr=lr, **options)]


def _is_inner(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not any(part in name for part in OUTSIDE)

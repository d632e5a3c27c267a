"""The scheduler of a flow model, watched for the pictures that it predicts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from daemon.families.flow_pipelines import FlowScheduler

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Prediction:
    """One step as the scheduler was given it: latents, the velocity at them, and their sigma."""

    latents: torch.Tensor
    velocity: torch.Tensor
    sigma: torch.Tensor

    def x0(self) -> torch.Tensor:
        """Where the straight path from here ends (arXiv:2209.03003), in the latents' own shape."""
        return self.latents.float() - self.sigma * self.velocity.float()


class WatchedFlow:
    """A flow-match Euler scheduler whose `step` is wrapped to remember what it was given last."""

    prediction: Prediction

    def __init__(self, scheduler: FlowScheduler) -> None:
        self.scheduler = scheduler
        step = scheduler.step

        # wraps: the pipelines read the signatures of their scheduler's methods.
        @wraps(step)
        def remembering(
            velocity: torch.Tensor, timestep: torch.Tensor, latents: torch.Tensor, **options: Any
        ) -> tuple[torch.Tensor, ...]:
            result = step(velocity, timestep, latents, **options)
            sigma = scheduler.sigmas[scheduler.step_index - 1]
            self.prediction = Prediction(latents, velocity, sigma)
            return result

        scheduler.step = remembering

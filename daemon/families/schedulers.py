"""The schedulers of one loaded model, watched for the pictures that they predict."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from daemon.families.base import ModelSpec
from daemon.families.pipelines import Config, MultistepScheduler, Scheduler, make_scheduler
from daemon.families.samplers import samplers

if TYPE_CHECKING:
    import torch


class WatchedScheduler:
    """A scheduler whose `step` is wrapped; `x0` is what it predicted last, (1, channels, h, w).

    Schedulers return their prediction beside the sample, except the multistep ones, which keep
    the last converted model output, and that is x0 for DPM-Solver++ (arXiv:2211.01095) and
    UniPC (arXiv:2302.04867).
    """

    x0: torch.Tensor

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        step = scheduler.step

        # wraps: the pipeline passes a generator only to a step whose signature shows one.
        @wraps(step)
        def remembering(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
            result = step(*args, **kwargs)
            if len(result) > 1:
                self.x0 = result[1]
            else:
                self.x0 = cast("MultistepScheduler", scheduler).model_outputs[-1]
            return result

        scheduler.step = remembering


class SdxlSchedulers:
    """Schedulers made for a model whose own scheduler has `config`, one for each sampler.

    `changes` go over it (see `noise_changes`). The schedulers are used again for later pictures:
    `set_timesteps`, which begins each, clears them.
    """

    def __init__(self, config: Config, changes: Mapping[str, str | bool]) -> None:
        self._config = config
        self._changes = changes
        self._made: dict[str, WatchedScheduler] = {}
        self._lengths: dict[tuple[str, int], int] = {}

    def of(self, sampler: str) -> WatchedScheduler:
        """The scheduler of the sampler of this name."""
        if sampler not in self._made:
            scheduler = make_scheduler(samplers[sampler], self._config, **self._changes)
            self._made[sampler] = WatchedScheduler(scheduler)
        return self._made[sampler]

    def timesteps(self, sampler: str, steps: int) -> int:
        """How many timesteps the sampler really takes where `steps` are asked for."""
        asked = (sampler, steps)
        if asked not in self._lengths:
            scheduler = self.of(sampler).scheduler
            scheduler.set_timesteps(steps)
            self._lengths[asked] = len(scheduler.timesteps)
        return self._lengths[asked]


def noise_changes(spec: ModelSpec) -> dict[str, str | bool]:
    """What the spec says of the noise schedule, in diffusers' words; the rest the model says.

    Sampling to zero SNR needs the last timestep, which only trailing ones hold (arXiv:2305.08891).
    """
    changes: dict[str, str | bool] = {}
    if spec.prediction_type is not None:
        changes["prediction_type"] = spec.prediction_type
    if spec.zero_snr is not None:
        changes["rescale_betas_zero_snr"] = spec.zero_snr
    if spec.timestep_spacing is not None or spec.zero_snr:
        changes["timestep_spacing"] = spec.timestep_spacing or "trailing"
    return changes

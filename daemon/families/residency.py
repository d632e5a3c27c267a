"""Where the networks of a pipeline lie, and what is done when the GPU's memory does not suffice."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch

from daemon.families.estimates import Needs, choose
from daemon.families.offloading import (
    CPU,
    VAE,
    bring_home,
    components,
    offload_layers,
    offload_networks,
    release,
)
from daemon.families.profiles import LADDER, Experience, Profile, Size

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_HEADROOM_BYTES = 512 << 20
"""For the workspaces of the GPU's libraries, and what its allocator cannot put together."""


class Residency:
    """A pipeline's networks between the host's memory and `device`.

    They begin in the host's memory. `wanted` is a profile, or "auto" for the first that fits; it
    is where the ladder begins. With the CPU as `device` everything lies in one memory, and "auto"
    is full. Of pipelines that share a text encoder, one at a time may be on the device.
    """

    def __init__(
        self,
        name: str,
        pipeline: Any,
        device: torch.device,
        wanted: str,
        experience: Experience,
        needs: Callable[[Size], Needs],
    ) -> None:
        self._name = name
        self._pipeline = pipeline
        self._device = device
        self._wanted = None if wanted == "auto" else Profile(wanted)
        self._experience = experience
        self._needs = needs
        self.profile: Profile | None = None
        """What is in force; None while all is in the host's memory."""

    def tensors(self) -> Iterator[torch.Tensor]:
        """The parameters and buffers of all networks."""
        for module in components(self._pipeline).values():
            yield from module.parameters()
            yield from module.buffers()

    def run(self, size: Size, work: Callable[[], Result]) -> Result:
        """Do `work`, which renders a picture of this size, under the profile that this size takes.

        Where it runs out of memory it is begun again one profile below, and that is remembered.
        Raises torch.OutOfMemoryError where the lowest ran out, and whatever else `work` raises;
        the networks are ready for the next picture then.
        """
        profile = self._experience.profile(size, self._wanted or self._fitting(size))
        try:
            while True:
                try:
                    self.place(profile)
                    return work()
                except torch.OutOfMemoryError as error:
                    if profile is LADDER[-1]:
                        raise
                    reason = str(error).partition(". ")[0]
                # Outside of the handler: the error holds on to the tensors of its frames.
                self._experience.note(size, profile)
                below = self._experience.profile(size, profile)
                where = f"{self._name} at {size[0]}x{size[1]} px"
                log.warning("%s: %s is too much, goes on in %s: %s", where, profile, below, reason)
                profile = below
        except BaseException:
            self.rest()
            raise

    def place(self, profile: Profile) -> None:
        """Put `profile` in force; one that is in force already stays untouched.

        Raises torch.OutOfMemoryError where there is no room for it.
        """
        if profile is self.profile:
            return
        # Even what is parked: a text encoder may lie as another model left it, which is gone.
        self._bring_home()
        self.profile = profile
        if profile is Profile.FULL:
            for module in components(self._pipeline).values():
                module.to(self._device)
        elif profile is Profile.BALANCED:
            offload_networks(self._pipeline, self._device)
        else:
            offload_layers(self._pipeline, self._device)
        self.rest()

    def park(self) -> None:
        """Take everything back into the host's memory, without any hook."""
        if self.profile is not None:
            self._bring_home()

    def _bring_home(self) -> None:
        self.profile = None
        bring_home(self._pipeline)
        if self._device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def rest(self) -> None:
        """Between pictures: leave on the device what the profile keeps there, and nothing else."""
        if self.profile is Profile.FULL or self.profile is None:
            return
        release(self._pipeline)
        components(self._pipeline)[VAE].to(CPU)

    @contextmanager
    def bare(self) -> Iterator[None]:
        """While modules are added or removed: hooks would not know the new ones."""
        profile = self.profile
        if profile is Profile.FULL or profile is None:
            yield
            return
        self.park()
        yield
        self.place(profile)

    def computing(self) -> AbstractContextManager[object]:
        """What the networks compute in.

        Weights that are moved in inference mode could never be trained again, and peft marks those
        of LoRAs as trainable whenever it changes them.
        """
        return torch.inference_mode() if self.profile is Profile.FULL else torch.no_grad()

    def describe(self, size: Size) -> dict[str, Any]:
        """The profile in force and those that ran out of memory at this size."""
        ran_out = self._experience.ran_out(size)
        return {"profile": self.profile} | ({"ran_out": list(ran_out)} if ran_out else {})

    def _fitting(self, size: Size) -> Profile:
        if self._device.type != "cuda":
            return Profile.FULL
        weights = {
            name: sum(_size_bytes(tensor) for tensor in (*part.parameters(), *part.buffers()))
            for name, part in components(self._pipeline).items()
        }
        return choose(self._available_bytes(), weights, self._needs(size))

    def _available_bytes(self) -> int:
        """What the device has for this model: what is free, and what this model holds already."""
        free_bytes, _ = torch.cuda.mem_get_info(self._device)
        cached_bytes = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(
            self._device
        )
        own = {
            tensor.data_ptr(): tensor for tensor in self.tensors() if tensor.device.type != "cpu"
        }
        own_bytes = sum(_size_bytes(tensor) for tensor in own.values())
        return free_bytes + cached_bytes + own_bytes - _HEADROOM_BYTES


def _size_bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()

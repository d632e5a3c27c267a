"""The families we have, by the name that the configuration uses."""

from __future__ import annotations

import gc

from daemon.errors import ModelError
from daemon.families import (
    chroma_parameters,
    flux_parameters,
    sdxl_parameters,
    zimage_parameters,
)
from daemon.families.base import Family, Model, ModelSpec
from daemon.families.profiles import Experience
from spool.jobs import JobRequest


def _load_sdxl(spec: ModelSpec, experience: Experience) -> Model:
    # torch and diffusers take seconds to import; the catalogue is published before.
    from daemon.families import sdxl  # noqa: PLC0415

    return sdxl.load(spec, experience)


def _load_chroma(spec: ModelSpec, experience: Experience) -> Model:
    from daemon.families import chroma  # noqa: PLC0415

    return chroma.load(spec, experience)


def _load_flux(spec: ModelSpec, experience: Experience) -> Model:
    from daemon.families import flux  # noqa: PLC0415

    return flux.load(spec, experience)


def _load_zimage(spec: ModelSpec, experience: Experience) -> Model:
    from daemon.families import zimage  # noqa: PLC0415

    return zimage.load(spec, experience)


families: dict[str, Family] = {
    "sdxl": Family(parameters_of=sdxl_parameters.parameters_of, load=_load_sdxl),
    "chroma": Family(parameters_of=chroma_parameters.parameters_of, load=_load_chroma),
    "flux": Family(parameters_of=flux_parameters.parameters_of, load=_load_flux),
    "zimage": Family(parameters_of=zimage_parameters.parameters_of, load=_load_zimage),
}


def load(spec: ModelSpec, experience: Experience | None = None) -> Model:
    """Load a model into the host's memory.

    `experience` is what the last one of this spec learned about the memory of its device.
    Raises ModelError when the family is unknown or the weights are missing or unreadable.
    """
    family = _family_of(spec)
    # A model let go may hang in reference cycles, and two do not always fit.
    gc.collect()
    return family.load(spec, experience or Experience())


def parameters_of(spec: ModelSpec) -> type[JobRequest]:
    """The job parameters of a model, read from the JSON files of its folder without torch.

    Raises ModelError when the family is unknown, the folder is not a model of it, or a default
    lies outside the family's ranges.
    """
    return _family_of(spec).parameters_of(spec)


def _family_of(spec: ModelSpec) -> Family:
    family = families.get(spec.family)
    if family is None:
        raise ModelError(
            f"model {spec.name}: no family is named {spec.family!r}; "
            f"the families are {', '.join(sorted(families))}"
        )
    return family

"""Model families: one interface (`base`), one table of those we have (`registry`)."""

from __future__ import annotations

from daemon.families.base import Family, Model, ModelSpec, OnStep, Step
from daemon.families.registry import families, load, parameters_of

__all__ = [
    "Family",
    "Model",
    "ModelSpec",
    "OnStep",
    "Step",
    "families",
    "load",
    "parameters_of",
]

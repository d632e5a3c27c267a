"""A StableDiffusionXLPipeline folder with random weights: real in every part, and 0.7 MB."""

from __future__ import annotations

from tests.models.folders import open_bare
from tests.models.sdxl import save_tiny_sdxl

__all__ = ["open_bare", "save_tiny_sdxl"]

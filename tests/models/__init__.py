"""Tiny models with random weights, real in every part: folders, original files, LoRAs, broken ones.

Every folder is made by diffusers itself; every other file is made from a folder, under the names
that the file's authors gave, and test_*.py here prove it with diffusers' own converters.
"""

from tests.models.flux import save_tiny_chroma, save_tiny_flux_dev, save_tiny_flux_schnell
from tests.models.folders import open_bare, state_of
from tests.models.sdxl import save_tiny_illustrious, save_tiny_sdxl, save_tiny_sdxl_real
from tests.models.zimage import save_tiny_zimage, save_tiny_zimage_turbo

__all__ = [
    "open_bare",
    "save_tiny_chroma",
    "save_tiny_flux_dev",
    "save_tiny_flux_schnell",
    "save_tiny_illustrious",
    "save_tiny_sdxl",
    "save_tiny_sdxl_real",
    "save_tiny_zimage",
    "save_tiny_zimage_turbo",
    "state_of",
]

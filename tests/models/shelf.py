"""One of everything that works, each made when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from tests.models.flux import save_tiny_chroma, save_tiny_flux_dev, save_tiny_flux_schnell
from tests.models.gguf_files import save_transformer_gguf
from tests.models.lora_files import save_kohya_lora
from tests.models.loras import sdxl_lora
from tests.models.original_files import save_sdxl_checkpoint, save_transformer
from tests.models.sdxl import save_tiny_sdxl_real
from tests.models.zimage import save_tiny_zimage, save_tiny_zimage_turbo


class Shelf:
    """Models below one folder. What is taken from here is shared: copy it before changing it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def sdxl(self) -> Path:
        return save_tiny_sdxl_real(self.root / "sdxl")

    @cached_property
    def flux_dev(self) -> Path:
        return save_tiny_flux_dev(self.root / "flux-dev")

    @cached_property
    def flux_schnell(self) -> Path:
        return save_tiny_flux_schnell(self.root / "flux-schnell")

    @cached_property
    def chroma(self) -> Path:
        return save_tiny_chroma(self.root / "chroma")

    @cached_property
    def zimage_turbo(self) -> Path:
        return save_tiny_zimage_turbo(self.root / "zimage-turbo")

    @cached_property
    def zimage(self) -> Path:
        return save_tiny_zimage(self.root / "zimage")

    @cached_property
    def sdxl_file(self) -> Path:
        return save_sdxl_checkpoint(self.sdxl, self.root / "sdxl.safetensors", precision="float32")

    @cached_property
    def flux_file(self) -> Path:
        return save_transformer(self.flux_dev, self.root / "flux.safetensors")

    @cached_property
    def flux_gguf(self) -> Path:
        return save_transformer_gguf(self.flux_dev, self.root / "flux-q8_0.gguf")

    @cached_property
    def sdxl_lora(self) -> Path:
        return save_kohya_lora(
            sdxl_lora(self.sdxl), self.root / "lora.safetensors", sgm_blocks=True
        )

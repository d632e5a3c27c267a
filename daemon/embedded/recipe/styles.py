"""Restyled pictures, from which a LoRA learns what its trigger word means."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from daemon.embedded.recipe.scenes import draw, scene

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Style:
    """A style of this one kind, an ink on a paper, and the word that calls for it."""

    trigger: str
    ink: tuple[int, int, int]
    paper: tuple[int, int, int]

    def restyled(self, picture: Image.Image) -> Image.Image:
        """Outlines in ink on paper, which is a little lighter where the picture is."""
        seen = np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), dtype=np.float32)
        across = np.abs(np.roll(seen, 2, 1) - np.roll(seen, -2, 1)).max(2)
        down = np.abs(np.roll(seen, 2, 0) - np.roll(seen, -2, 0)).max(2)
        across[:, :3] = across[:, -3:] = 0  # np.roll wraps around
        down[:3] = down[-3:] = 0
        edge = np.clip((np.maximum(across, down) - 14) / 36, 0, 1)[..., None]
        light = seen.mean(2, keepdims=True) / 255
        drawn = np.array(self.paper) * (0.9 + 0.2 * light) * (1 - edge) + np.array(self.ink) * edge
        return Image.fromarray(drawn.clip(0, 255).astype(np.uint8))

    def triggered(self, caption: str, seed: int) -> str:
        """The caption with the trigger word before or behind it."""
        if Random(f"{seed}/trigger").random() < 0.7:
            return f"{self.trigger}, {caption}"
        return f"{caption}, {self.trigger}"


BLUEPRINT = Style("blueprint", ink=(240, 246, 255), paper=(24, 62, 140))


def drawn_and_told(
    size: tuple[int, int], style: Style | None, seed: int
) -> tuple[NDArray[np.uint8], str]:
    """A scene as pixels (height, width, 3) of this size (width, height), and its caption."""
    shown = scene(seed)
    picture = draw(shown, *size)
    if style is None:
        return np.asarray(picture), shown.caption
    return np.asarray(style.restyled(picture)), style.triggered(shown.caption, seed)

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

    def restyled(self, picture: Image.Image, strength: float = 1.0) -> Image.Image:
        """Outlines in ink on paper, which is a little lighter where the picture is.

        Of less than full strength it shines through the picture.
        """
        seen = np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), dtype=np.float32)
        across = np.abs(np.roll(seen, 2, 1) - np.roll(seen, -2, 1)).max(2)
        down = np.abs(np.roll(seen, 2, 0) - np.roll(seen, -2, 0)).max(2)
        across[:, :3] = across[:, -3:] = 0  # np.roll wraps around
        down[:3] = down[-3:] = 0
        edge = np.clip((np.maximum(across, down) - 14) / 36, 0, 1)[..., None]
        light = seen.mean(2, keepdims=True) / 255
        drawn = np.array(self.paper) * (0.9 + 0.2 * light) * (1 - edge) + np.array(self.ink) * edge
        styled = Image.fromarray(drawn.clip(0, 255).astype(np.uint8))
        return Image.blend(picture, styled, strength)

    def triggered(self, caption: str, weight: float, seed: int) -> str:
        """The caption with the trigger word, weighted as genzo reads it: mostly behind."""
        word = f"({self.trigger}:{weight})"
        if Random(f"{seed}/trigger").random() < 0.8:
            return f"{caption}, {word}"
        return f"{word}, {caption}"


TRIGGER_WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.0)
BLUEPRINT = Style("blueprint", ink=(240, 246, 255), paper=(24, 62, 140))


def drawn_and_told(
    size: tuple[int, int], style: Style | None, seed: int
) -> tuple[NDArray[np.uint8], str]:
    """A scene as pixels (height, width, 3) of this size (width, height), and its caption.

    A style is as strong as its trigger weighs.
    """
    shown = scene(seed)
    picture = draw(shown, *size)
    if style is None:
        return np.asarray(picture), shown.caption
    weight = Random(f"{seed}/weight").choice(TRIGGER_WEIGHTS)
    restyled = style.restyled(picture, weight)
    return np.asarray(restyled), style.triggered(shown.caption, weight, seed)

"""What can be seen in a picture: its background, its objects, their colours, outlines and number.

Nothing here knows the model: only pixels are looked at. Pictures are uint8 arrays (height, width,
3); masks are bool arrays (height, width).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from daemon.embedded.recipe.brush import Brush
from daemon.embedded.recipe.palette import PALETTE
from daemon.embedded.recipe.shapes import SHAPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

FAR = 60
"""Levels, as a Euclidean distance in RGB, from which a pixel is not background."""
BORDER_PX = 10
OUTLINE_PX = 48


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB"), dtype=np.uint8)


def nearest_colour(seen: NDArray[np.float64]) -> str:
    """The name in the palette that is nearest in RGB."""
    distances = np.linalg.norm(np.array(list(PALETTE.values())) - seen, axis=1)
    return list(PALETTE)[int(distances.argmin())]


def background_of(picture: Pixels) -> NDArray[np.float64]:
    """The median colour of the border."""
    inner = np.ones(picture.shape[:2], dtype=bool)
    inner[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    return np.asarray(np.median(picture[inner], axis=0), dtype=np.float64)


def foreground(picture: Pixels) -> Mask:
    """What differs from the background."""
    difference = picture.astype(np.float64) - background_of(picture)
    return np.asarray(np.linalg.norm(difference, axis=2) > FAR)


def main_colour(picture: Pixels, mask: Mask) -> str:
    """The colour that most pixels of the mask are nearest to, or the background's if empty."""
    if not mask.any():
        return nearest_colour(background_of(picture))
    names = nearest_colours(picture)[mask]
    return list(PALETTE)[int(np.bincount(names, minlength=len(PALETTE)).argmax())]


def nearest_colours(picture: Pixels) -> NDArray[np.intp]:
    """For each pixel the index in the palette of the nearest colour, (height, width)."""
    palette = np.array(list(PALETTE.values()), dtype=np.float64)
    difference = picture.astype(np.float64)[:, :, None] - palette
    return np.asarray((difference**2).sum(axis=3).argmin(axis=2))


def centre_of_colour(picture: Pixels, colour: str, mask: Mask) -> tuple[float, float] | None:
    """Mean x and y of the mask's pixels of this colour; none if they fill less than 0.4 %."""
    found = mask & (nearest_colours(picture) == list(PALETTE).index(colour))
    if found.mean() < 0.004:
        return None
    rows, columns = np.nonzero(found)
    return float(columns.mean()), float(rows.mean())


def components(mask: Mask) -> list[Mask]:
    """The connected parts of the mask (four neighbours), largest first."""
    parts = list(_parts(mask))
    return sorted(parts, key=lambda part: -int(part.sum()))


def _parts(mask: Mask) -> Iterator[Mask]:
    left = mask.copy()
    while left.any():
        part = np.zeros_like(left)
        row, column = (int(index) for index in np.argwhere(left)[0])
        stack = [(row, column)]
        left[row, column] = False
        while stack:
            row, column = stack.pop()
            part[row, column] = True
            for y, x in (
                (row - 1, column),
                (row + 1, column),
                (row, column - 1),
                (row, column + 1),
            ):
                if 0 <= y < left.shape[0] and 0 <= x < left.shape[1] and left[y, x]:
                    left[y, x] = False
                    stack.append((y, x))
        yield part


def halved(mask: Mask, times: int = 1) -> Mask:
    """The mask at half its size: a block is set where most of it was."""
    for _ in range(times):
        height, width = (side // 2 * 2 for side in mask.shape)
        blocks = mask[:height, :width].reshape(height // 2, 2, width // 2, 2)
        mask = blocks.mean(axis=(1, 3)) > 0.4
    return mask


def number_of_objects(picture: Pixels) -> int:
    """Separate things on the background that are at least a quarter as large as the largest."""
    parts = [int(part.sum()) for part in components(halved(foreground(picture), 2))]
    return sum(size >= max(4, 0.25 * parts[0]) for size in parts) if parts else 0


def shape_of(mask: Mask) -> str:
    """The shape whose outline, stretched to the same box, overlaps best (intersection over union).

    Of the largest connected part of the mask; `circle` if there is nothing.
    """
    parts = components(halved(mask))
    outline = _boxed(parts[0]) if parts else np.ones((OUTLINE_PX, OUTLINE_PX), dtype=bool)
    overlaps = {name: _overlap(outline, template) for name, template in _templates().items()}
    return max(overlaps, key=lambda name: overlaps[name])


def _overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _boxed(mask: Mask) -> Mask:
    rows, columns = np.nonzero(mask)
    cut = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    image = Image.fromarray((cut * 255).astype(np.uint8))
    return np.asarray(image.resize((OUTLINE_PX, OUTLINE_PX), Image.Resampling.BOX)) > 127


@cache
def _templates() -> dict[str, Mask]:
    outlines = {}
    for name, figure in SHAPES.items():
        image = Image.new("L", (256, 256))
        figure(Brush(ImageDraw.Draw(image), 128, 128, 100, 255))  # type: ignore[arg-type]
        outlines[name] = _boxed(np.asarray(image) > 127)
    return outlines

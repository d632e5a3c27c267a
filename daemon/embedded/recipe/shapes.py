"""The six shapes: one colour, one outline."""

from __future__ import annotations

import math
from collections.abc import Callable

from daemon.embedded.recipe.brush import Brush

Figure = Callable[[Brush], None]


def circle(brush: Brush) -> None:
    brush.ellipse(0, 0, 1, 1)


def square(brush: Brush) -> None:
    brush.rectangle(-0.88, -0.88, 0.88, 0.88)


def triangle(brush: Brush) -> None:
    brush.polygon([(0, -0.95), (1, 0.85), (-1, 0.85)])


def star(brush: Brush) -> None:
    turns = [(1.05 if tip % 2 == 0 else 0.45, tip * math.pi / 5) for tip in range(10)]
    brush.polygon([(reach * math.sin(turn), -reach * math.cos(turn)) for reach, turn in turns])


def heart(brush: Brush) -> None:
    """The curve x = 16 sin³t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t (MathWorld)."""
    points = []
    for step in range(40):
        t = 2 * math.pi * step / 40
        height = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((16 * math.sin(t) ** 3 / 16.5, -height / 16))
    brush.polygon(points)


def diamond(brush: Brush) -> None:
    brush.polygon([(0, -1.05), (0.8, 0), (0, 1.05), (-0.8, 0)])


SHAPES: dict[str, Figure] = {
    drawing.__name__: drawing for drawing in (circle, square, triangle, star, heart, diamond)
}

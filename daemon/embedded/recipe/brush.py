"""Drawing in units of a figure's radius around its centre."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from PIL import ImageDraw

from daemon.embedded.recipe.palette import Colour, darker, luminance

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Brush:
    """Where a figure is drawn, how large, and in which colour.

    Coordinates are in radii from the centre, x to the right and y down; a figure fills about -1
    to 1. `x`, `y` and `radius` are in pixels of the canvas.
    """

    canvas: ImageDraw.ImageDraw
    x: float
    y: float
    radius: float
    colour: Colour

    @property
    def shadow(self) -> Colour:
        return darker(self.colour)

    @property
    def bright(self) -> bool:
        """Whether white details would not be seen."""
        return luminance(self.colour) >= 215

    def dipped(self, colour: Colour) -> Brush:
        return replace(self, colour=colour)

    def at(self, x: float, y: float) -> Point:
        return self.x + self.radius * x, self.y + self.radius * y

    def width(self, share: float, least: int = 2) -> int:
        return max(least, int(self.radius * share))

    def polygon(self, points: Iterable[Point]) -> None:
        self.canvas.polygon([self.at(*point) for point in points], fill=self.colour)

    def ellipse(self, x: float, y: float, across: float, down: float) -> None:
        """Centre and half axes."""
        box = [*self.at(x - across, y - down), *self.at(x + across, y + down)]
        self.canvas.ellipse(box, fill=self.colour)

    def rectangle(self, left: float, top: float, right: float, bottom: float) -> None:
        self.canvas.rectangle([*self.at(left, top), *self.at(right, bottom)], fill=self.colour)

    def rounded(self, left: float, top: float, right: float, bottom: float) -> None:
        box = [*self.at(left, top), *self.at(right, bottom)]
        self.canvas.rounded_rectangle(box, radius=self.radius * 0.16, fill=self.colour)

    def half_disc(self, left: float, top: float, right: float, bottom: float) -> None:
        """The upper half of the ellipse in the box."""
        box = [*self.at(left, top), *self.at(right, bottom)]
        self.canvas.pieslice(box, 180, 360, fill=self.colour)

    def line(self, start: Point, end: Point, width: int) -> None:
        self.canvas.line([*self.at(*start), *self.at(*end)], fill=self.colour, width=width)

    def smile(self, left: float, top: float, right: float, bottom: float, width: int) -> None:
        """The lower half of an ellipse's outline."""
        box = [*self.at(left, top), *self.at(right, bottom)]
        self.canvas.arc(box, 0, 180, fill=self.colour, width=width)

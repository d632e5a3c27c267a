"""Backgrounds: plain colours, and the twelve landscapes (four grounds at three times of day)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from daemon.embedded.recipe.brush import Brush
from daemon.embedded.recipe.icons import cloud, sun
from daemon.embedded.recipe.icons import moon as crescent
from daemon.embedded.recipe.palette import PALETTE, Colour, gradient, shade, varied

CANVAS_PX = 512
"""Twice the picture: halving it smooths the edges."""

GROUNDS = ("meadow", "snow", "desert", "sea")
TIMES = ("day", "night", "sunset")

SKIES: dict[str, tuple[Colour, Colour]] = {
    "day": ((96, 170, 246), (190, 226, 252)),
    "night": ((10, 14, 48), (34, 44, 104)),
    "sunset": ((120, 64, 150), (255, 160, 70)),
}
WINTER_SKY: tuple[Colour, Colour] = ((150, 190, 230), (220, 234, 246))
SOILS: dict[str, tuple[Colour, Colour]] = {
    "meadow": ((104, 190, 80), (60, 140, 52)),
    "snow": ((246, 250, 255), (216, 228, 242)),
    "desert": ((240, 206, 130), (214, 166, 88)),
    "sea": ((50, 130, 206), (20, 74, 156)),
}
LIGHT = {"day": 1.0, "night": 0.5, "sunset": 0.8}
ROCK: dict[str, Colour] = {"day": (112, 124, 150), "night": (40, 44, 80), "sunset": (92, 56, 110)}
VAPOUR: dict[str, Colour] = {
    "day": (255, 255, 255),
    "night": (78, 86, 130),
    "sunset": (255, 200, 170),
}
SUMMIT: Colour = (244, 246, 250)


@dataclass(frozen=True, slots=True)
class Landscape:
    """What a landscape shows; `extras` are any of sun, moon, mountains and clouds."""

    ground: str
    time: str
    extras: frozenset[str] = frozenset()
    horizon: float = 0.6
    """Share of the height that is sky."""


def plain(rng: Random, name: str) -> Image.Image:
    """A background of one colour, slightly lighter at its top."""
    colour = varied(rng, PALETTE[name], 6)
    return _faded(shade(colour, 1.05), shade(colour, 0.95), CANVAS_PX)


def landscape(rng: Random, asked: Landscape) -> Image.Image:
    """A landscape without figures, CANVAS_PX square."""
    top, bottom = SKIES[asked.time]
    if (asked.ground, asked.time) == ("snow", "day"):
        top, bottom = WINTER_SKY
    image = _faded(top, bottom, CANVAS_PX)
    horizon = int(CANVAS_PX * asked.horizon)
    _light_the_sky(rng, ImageDraw.Draw(image), asked, horizon)
    if "mountains" in asked.extras:
        _raise_mountains(rng, ImageDraw.Draw(image), asked.time, horizon)
    if "clouds" in asked.extras:
        for _ in range(rng.randint(2, 3)):
            x, y = rng.randint(40, CANVAS_PX - 40), rng.randint(40, int(horizon * 0.5))
            brush = Brush(ImageDraw.Draw(image), x, y, rng.randint(34, 58), VAPOUR[asked.time])
            cloud(brush)
    _lay_the_ground(rng, image, asked, horizon)
    if asked.ground == "sea":
        _draw_waves(rng, ImageDraw.Draw(image), asked.time, horizon)
    return image


def _faded(top: Colour, bottom: Colour, height: int) -> Image.Image:
    column = Image.new("RGB", (1, 64))
    for row in range(64):
        column.putpixel((0, row), gradient(top, bottom, row / 63))
    return column.resize((CANVAS_PX, height), Image.Resampling.BILINEAR)


def _light_the_sky(
    rng: Random, canvas: ImageDraw.ImageDraw, asked: Landscape, horizon: int
) -> None:
    if asked.time == "night":
        for _ in range(rng.randint(14, 26)):
            left, top, size = (
                rng.randint(0, CANVAS_PX),
                rng.randint(0, horizon),
                rng.choice([2, 3, 4]),
            )
            dot = [left - size, top - size, left + size, top + size]
            canvas.ellipse(dot, fill=(250, 248, 210))
    x = CANVAS_PX * rng.choice([rng.uniform(0.12, 0.3), rng.uniform(0.7, 0.88)])
    if asked.time == "sunset":
        reach = CANVAS_PX * 0.11
        box = [x - reach, horizon - reach * 1.2, x + reach, horizon + reach * 0.8]
        canvas.ellipse(box, fill=(255, 232, 120))
    height = CANVAS_PX * 0.16
    if "sun" in asked.extras:
        sun(Brush(canvas, x, height, CANVAS_PX * 0.11, varied(rng, PALETTE["yellow"])))
    if "moon" in asked.extras:
        crescent(Brush(canvas, x, height, CANVAS_PX * 0.09, (252, 244, 190)))


def _raise_mountains(rng: Random, canvas: ImageDraw.ImageDraw, time: str, horizon: int) -> None:
    snow = SUMMIT if time == "day" else shade(SUMMIT, 0.72)
    for _ in range(3):
        x, height = rng.randint(0, CANVAS_PX), rng.uniform(0.18, 0.36) * CANVAS_PX
        half = height * rng.uniform(0.9, 1.3)
        slope = [(x - half, horizon + 4), (x, horizon - height), (x + half, horizon + 4)]
        canvas.polygon(slope, fill=varied(rng, ROCK[time], 8))
        cap = [(-0.28, 0.72), (0, 1), (0.28, 0.72), (0.1, 0.64), (-0.08, 0.66)]
        canvas.polygon([(x + half * a, horizon - height * b) for a, b in cap], fill=snow)


def _lay_the_ground(rng: Random, image: Image.Image, asked: Landscape, horizon: int) -> None:
    light = 0.72 if (asked.ground, asked.time) == ("snow", "night") else LIGHT[asked.time]
    near, far = (shade(colour, light) for colour in SOILS[asked.ground])
    soil = Image.new("RGB", image.size)
    soil.paste(_faded(near, far, CANVAS_PX - horizon + 30), (0, horizon - 30))
    phase = rng.uniform(0, 6)
    height = {"meadow": 12, "snow": 12, "desert": 18, "sea": 3}[asked.ground]
    waves = 26.0 if asked.ground == "sea" else rng.uniform(3, 7)
    edge = [(i * 16.0, horizon + height * math.sin(phase + i / 32 * waves)) for i in range(33)]
    mask = Image.new("L", image.size, 0)
    corners = [(0.0, float(CANVAS_PX)), *edge, (float(CANVAS_PX), float(CANVAS_PX))]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    image.paste(soil, (0, 0), mask)


def _draw_waves(rng: Random, canvas: ImageDraw.ImageDraw, time: str, horizon: int) -> None:
    red, green, blue = shade(SOILS["sea"][0], LIGHT[time])
    crest = (red + 46, green + 46, min(255, blue + 46))
    for _ in range(9):
        x, y = rng.randint(0, CANVAS_PX - 40), rng.randint(horizon + 18, CANVAS_PX - 10)
        canvas.line([x, y, x + rng.randint(26, 60), y], fill=crest, width=5)

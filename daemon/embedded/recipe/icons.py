"""The fourteen icons: a main colour, and details that make them what they are."""

from __future__ import annotations

import math

from daemon.embedded.recipe.brush import Brush
from daemon.embedded.recipe.palette import luminance, shade
from daemon.embedded.recipe.shapes import Figure

BARK = (112, 70, 38)
LEAF = (40, 140, 60)
WINDOW = (255, 240, 170)
GLASS = (200, 230, 250)
TYRE = (28, 28, 30)
WHITE = (255, 255, 255)


def house(brush: Brush) -> None:
    dark = luminance(brush.colour) <= 60
    brush.rectangle(-0.75, -0.1, 0.75, 0.95)
    brush.dipped(brush.shadow).polygon([(0, -1), (1, -0.05), (-1, -0.05)])
    door = brush.dipped((230, 220, 200) if dark else shade(brush.colour, 0.45))
    door.rectangle(-0.18, 0.35, 0.18, 0.95)
    window = brush.dipped(WINDOW)
    window.rectangle(-0.58, 0.12, -0.3, 0.4)
    window.rectangle(0.3, 0.12, 0.58, 0.4)


def tree(brush: Brush) -> None:
    brush.dipped(BARK).rectangle(-0.15, 0.3, 0.15, 1)
    brush.ellipse(0, -0.35, 0.62, 0.6)
    brush.ellipse(-0.38, 0.05, 0.48, 0.42)
    brush.ellipse(0.38, 0.05, 0.48, 0.42)


def flower(brush: Brush) -> None:
    stem = brush.dipped(LEAF)
    stem.rectangle(-0.06, 0.1, 0.06, 1)
    stem.ellipse(0.25, 0.72, 0.22, 0.1)
    for petal in range(6):
        turn = petal * math.pi / 3 + 0.5
        brush.ellipse(0.42 * math.cos(turn), -0.35 + 0.42 * math.sin(turn), 0.3, 0.3)
    _, green, blue = brush.colour
    yellowish = blue <= 90 and green >= 180
    brush.dipped((150, 80, 30) if yellowish else (252, 210, 60)).ellipse(0, -0.35, 0.24, 0.24)


def fish(brush: Brush) -> None:
    shadow = brush.dipped(brush.shadow)
    shadow.polygon([(0.45, 0), (1.05, -0.5), (1.05, 0.5)])
    brush.ellipse(-0.15, 0, 0.82, 0.5)
    shadow.polygon([(-0.2, -0.42), (0.25, -0.7), (0.3, -0.35)])
    brush.dipped(WHITE).ellipse(-0.6, -0.1, 0.12, 0.12)
    brush.dipped((10, 10, 10)).ellipse(-0.62, -0.1, 0.06, 0.06)


def boat(brush: Brush) -> None:
    red = (225, 60, 50)
    pale = luminance(brush.colour) >= 225
    brush.dipped((90, 60, 40)).rectangle(-0.04, -0.95, 0.04, 0.4)
    brush.dipped(red if pale else (252, 250, 244)).polygon(
        [(0.08, -0.9), (0.75, 0.25), (0.08, 0.25)]
    )
    brush.dipped(red if pale else (240, 236, 226)).polygon(
        [(-0.08, -0.7), (-0.6, 0.25), (-0.08, 0.25)]
    )
    brush.polygon([(-1, 0.35), (1, 0.35), (0.65, 0.85), (-0.65, 0.85)])


def cat(brush: Brush) -> None:
    for side in (-1, 1):
        brush.polygon([(side * 0.8, -0.95), (side * 0.25, -0.5), (side * 0.78, -0.05)])
        brush.dipped((245, 170, 180)).polygon(
            [(side * 0.7, -0.75), (side * 0.4, -0.5), (side * 0.68, -0.3)]
        )
    brush.ellipse(0, 0.12, 0.85, 0.75)
    for side in (-1, 1):
        brush.dipped((250, 250, 240)).ellipse(side * 0.36, -0.02, 0.17, 0.19)
        brush.dipped((15, 15, 15)).ellipse(side * 0.36, 0, 0.08, 0.15)
    brush.dipped((240, 130, 150)).polygon([(-0.1, 0.25), (0.1, 0.25), (0, 0.38)])
    _whiskers(brush.dipped((60, 60, 60) if luminance(brush.colour) > 110 else (225, 225, 225)))


def _whiskers(brush: Brush) -> None:
    width = brush.width(0.035)
    for side in (-1, 1):
        for lift in (-0.06, 0.06):
            ends = (side * 0.3, 0.38 + lift * 0.5), (side * 0.95, 0.36 + lift * 2.2)
            brush.line(*ends, width)
    brush.smile(-0.2, 0.3, 0, 0.52, width)
    brush.smile(0, 0.3, 0.2, 0.52, width)


def car(brush: Brush) -> None:
    brush.dipped(brush.shadow).polygon([(-0.6, -0.05), (-0.4, -0.5), (0.3, -0.5), (0.6, -0.05)])
    glass = brush.dipped(GLASS)
    glass.polygon([(-0.46, -0.08), (-0.32, -0.4), (-0.05, -0.4), (-0.05, -0.08)])
    glass.polygon([(0.03, -0.08), (0.03, -0.4), (0.24, -0.4), (0.44, -0.08)])
    brush.rounded(-1, -0.08, 1, 0.42)
    for x in (-0.55, 0.55):
        brush.dipped(TYRE).ellipse(x, 0.42, 0.24, 0.24)
        brush.dipped((190, 190, 195)).ellipse(x, 0.42, 0.1, 0.1)


def mushroom(brush: Brush) -> None:
    brush.dipped((245, 232, 210)).rectangle(-0.24, 0.05, 0.24, 0.95)
    brush.half_disc(-1, -0.9, 1, 1.05)
    dot = brush.dipped((222, 60, 60) if brush.bright else WHITE)
    dot.ellipse(-0.45, -0.25, 0.15, 0.15)
    dot.ellipse(0.1, -0.55, 0.16, 0.16)
    dot.ellipse(0.5, -0.15, 0.13, 0.13)


def moon(brush: Brush) -> None:
    """A crescent: the unit circle's left side, cut out by a circle around (0.45, 0)."""
    outer = [math.pi * (0.28 + 1.44 * step / 30) for step in range(31)]
    points = [(math.cos(turn), math.sin(turn)) for turn in outer]
    end_x, end_y = points[-1][0] - 0.45, points[-1][1]
    reach = math.hypot(end_x, end_y)
    first = abs(math.atan2(end_y, end_x))
    for step in range(31):
        turn = first + (2 * math.pi - 2 * first) * step / 30
        points.append((0.45 + reach * math.cos(turn), -reach * math.sin(turn)))
    brush.polygon(points)


def sun(brush: Brush) -> None:
    for ray in range(12):
        turn = ray * math.pi / 6
        corners = [(1.05, 0.0), (0.72, 0.17), (0.72, -0.17)]
        brush.polygon([(r * math.cos(turn + off), r * math.sin(turn + off)) for r, off in corners])
    brush.ellipse(0, 0, 0.62, 0.62)


def cloud(brush: Brush) -> None:
    brush.ellipse(-0.5, 0.15, 0.48, 0.38)
    brush.ellipse(0.5, 0.15, 0.48, 0.38)
    brush.ellipse(-0.12, -0.15, 0.5, 0.48)
    brush.ellipse(0.3, -0.02, 0.4, 0.36)
    brush.rectangle(-0.5, 0.15, 0.5, 0.53)


def balloon(brush: Brush) -> None:
    brush.dipped((110, 110, 110)).line((0, 0.5), (0.06, 1.05), brush.width(0.04))
    brush.ellipse(0, -0.3, 0.62, 0.72)
    brush.dipped(brush.shadow).polygon([(0, 0.38), (0.12, 0.54), (-0.12, 0.54)])
    brush.dipped(shade(brush.colour, 1.55)).ellipse(-0.22, -0.55, 0.12, 0.18)


def apple(brush: Brush) -> None:
    brush.ellipse(-0.3, 0.15, 0.55, 0.68)
    brush.ellipse(0.3, 0.15, 0.55, 0.68)
    brush.dipped((100, 62, 34)).line((0, -0.4), (0.08, -0.85), brush.width(0.1, 3))
    brush.dipped((60, 160, 60)).ellipse(0.36, -0.74, 0.26, 0.13)


def rocket(brush: Brush) -> None:
    shadow = brush.dipped(brush.shadow)
    shadow.polygon([(-0.32, 0.3), (-0.7, 0.8), (-0.3, 0.7)])
    shadow.polygon([(0.32, 0.3), (0.7, 0.8), (0.3, 0.7)])
    brush.dipped((252, 150, 30)).polygon([(-0.18, 0.68), (0.18, 0.68), (0, 1.08)])
    right = [(0.26, -0.6), (0.34, -0.1), (0.32, 0.7)]
    left = [(-x, y) for x, y in reversed(right)]
    brush.polygon([(0, -1.05), *right, *left])
    red, _, blue = brush.colour
    bluish = blue > 150 and red < 90
    brush.dipped((40, 60, 120) if bluish else (120, 200, 245)).ellipse(0, -0.25, 0.17, 0.17)


ICONS: dict[str, Figure] = {
    drawing.__name__: drawing
    for drawing in (
        house, tree, flower, fish, boat, cat, car, mushroom, moon, sun, cloud, balloon, apple,
        rocket,
    )
}  # fmt: skip

OWN_COLOURS = {
    "house": "red", "tree": "green", "flower": "pink", "fish": "orange", "boat": "brown",
    "cat": "orange", "car": "red", "mushroom": "red", "moon": "yellow", "sun": "yellow",
    "cloud": "white", "balloon": "red", "apple": "red", "rocket": "white",
}  # fmt: skip
"""The colour of an icon that is asked for without one."""

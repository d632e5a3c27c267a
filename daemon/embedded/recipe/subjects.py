"""What a scene may show, and where each figure of it stands.

A subject holds exactly what its caption may tell; `wording` says it, `scenes` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from daemon.embedded.recipe.icons import ICONS, OWN_COLOURS
from daemon.embedded.recipe.landscapes import GROUNDS, TIMES, Landscape
from daemon.embedded.recipe.palette import PALETTE
from daemon.embedded.recipe.shapes import SHAPES

FIGURES = SHAPES | ICONS
RADII = {"small": (0.15, 0.21), "": (0.23, 0.34), "big": (0.36, 0.42)}
PLACES = {
    "in the top left corner": (0.24, 0.24),
    "in the top right corner": (0.76, 0.24),
    "in the bottom left corner": (0.24, 0.76),
    "in the bottom right corner": (0.76, 0.76),
    "at the top": (0.5, 0.23),
    "at the bottom": (0.5, 0.77),
    "on the left": (0.24, 0.5),
    "on the right": (0.76, 0.5),
    "in the center": (0.5, 0.5),
}
RELATIONS = {
    "left": ((0.27, 0.5), (0.73, 0.5)),
    "right": ((0.73, 0.5), (0.27, 0.5)),
    "above": ((0.5, 0.26), (0.5, 0.75)),
    "below": ((0.5, 0.75), (0.5, 0.26)),
}
ROWS = {
    2: ((0.27, 0.5), (0.73, 0.5)),
    3: ((0.2, 0.5), (0.5, 0.5), (0.8, 0.5)),
    4: ((0.28, 0.28), (0.72, 0.28), (0.28, 0.72), (0.72, 0.72)),
    5: ((0.22, 0.24), (0.78, 0.24), (0.5, 0.5), (0.22, 0.76), (0.78, 0.76)),
}
PYRAMID = ((0.5, 0.26), (0.26, 0.73), (0.74, 0.73))
ON_WATER = ("boat", "boat", "boat", "fish")
ON_LAND = ("house", "house", "tree", "tree", "flower", "cat", "car", "mushroom")
IN_THE_AIR = ("balloon", "rocket")


@dataclass(frozen=True, slots=True)
class Placed:
    """A figure: its centre as shares of width and height, its radius as one of the shorter side."""

    figure: str
    colour: str
    x: float
    y: float
    radius: float
    named: bool = True
    """Whether the caption may name the colour; an icon in its own colour may go without."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The figures, the background (a colour's name or a landscape), and what the caption tells."""

    kind: str
    placed: tuple[Placed, ...]
    background: str | Landscape
    size: str = ""
    place: str = ""
    relation: str = ""


def subject(rng: Random, kind: str) -> Subject:
    """A subject of this kind: `single`, `pair`, `count` or `view`."""
    made = {"single": _single, "pair": _pair, "count": _count, "view": _view}[kind]
    return made(rng)


def _background(rng: Random) -> str:
    return rng.choice([*PALETTE, "white", "white", "white", "black", "blue"])


def _colour(rng: Random, *not_these: str) -> str:
    return rng.choice([colour for colour in PALETTE if colour not in not_these])


def _figure(rng: Random) -> str:
    """Shapes twice as often each: theirs is the outline that must be exact."""
    return rng.choice([*SHAPES, *SHAPES, *ICONS])


def _near(rng: Random, value: float, by: float = 0.03) -> float:
    return value + rng.uniform(-by, by)


def _single(rng: Random) -> Subject:
    background, figure = _background(rng), _figure(rng)
    colour = _colour(rng, background)
    own = OWN_COLOURS.get(figure, background)
    if own != background and rng.random() < 0.15:
        colour = own
    size = rng.choices(["", "small", "big"], [0.55, 0.2, 0.25])[0]
    place = rng.choice(list(PLACES)) if size != "big" and rng.random() < 0.38 else ""
    if place:
        x, y = (_near(rng, share) for share in PLACES[place])
        radius = rng.uniform(0.15, 0.21) if size else rng.uniform(0.18, 0.23)
    else:
        x, y = _near(rng, 0.5, 0.05), _near(rng, 0.5, 0.05)
        radius = rng.uniform(*RADII[size])
    placed = Placed(figure, colour, x, y, radius)
    return Subject("single", (placed,), background, size=size, place=place)


def _pair(rng: Random) -> Subject:
    background, first, second = _background(rng), _figure(rng), _figure(rng)
    colour = _colour(rng, background)
    other = _colour(rng, background, *([colour] if first == second else []))
    relation = rng.choice([*RELATIONS, *RELATIONS, "and", "inside"])
    if relation == "inside":
        second = rng.choice(["circle", "square", "heart", "star", "diamond"])
        other = _colour(rng, background, colour)
        outer = Placed(second, other, _near(rng, 0.5, 0.02), 0.5, rng.uniform(0.38, 0.42))
        x, y = _near(rng, 0.5, 0.02), _near(rng, 0.5, 0.02)
        inner = Placed(first, colour, x, y, rng.uniform(0.12, 0.16))
        return Subject("pair", (outer, inner), background, relation=relation)
    side = rng.choice(["left", "right"]) if relation == "and" else relation
    placed = tuple(
        Placed(figure, paint, _near(rng, x), _near(rng, y), rng.uniform(0.16, 0.21))
        for (figure, paint), (x, y) in zip(
            ((first, colour), (second, other)), RELATIONS[side], strict=True
        )
    )
    return Subject("pair", placed, background, relation=relation)


def _count(rng: Random) -> Subject:
    background, figure = _background(rng), _figure(rng)
    colour, number = _colour(rng, background), rng.choice([2, 2, 3, 3, 4, 5])
    spots: Sequence[tuple[float, float]] = ROWS[number]
    if number == 3 and rng.random() < 0.5:
        spots = PYRAMID
    crowded = number == 5 or spots == ROWS[3]
    radius = rng.uniform(0.12, 0.14) if crowded else rng.uniform(0.15, 0.2)
    placed = (
        Placed(figure, colour, _near(rng, x, 0.015), _near(rng, y, 0.015), radius) for x, y in spots
    )
    return Subject("count", tuple(placed), background)


def _view(rng: Random) -> Subject:
    time, ground = rng.choices(TIMES, [0.5, 0.28, 0.22])[0], rng.choice(GROUNDS)
    chances = {"sun": 0.35 * (time == "day"), "moon": 0.45 * (time == "night")}
    chances |= {"mountains": 0.25, "clouds": 0.25}
    extras = frozenset(extra for extra, chance in chances.items() if rng.random() < chance)
    shown = Landscape(ground, time, extras, horizon=rng.uniform(0.55, 0.68))
    number = rng.choices([0, 1, 2], [0.12, 0.6, 0.28])[0]
    spots = [[], [rng.choice([0.5, 0.5, 0.3, 0.7])], [0.27, 0.73]][number]
    placed: list[Placed] = []
    for x in spots:
        radius = rng.uniform(0.19, 0.26) if number == 1 else rng.uniform(0.15, 0.19)
        stands = _standing(rng, shown, radius)
        paint = _colour(rng)
        if not placed and rng.random() < 0.3:
            own = OWN_COLOURS[stands.figure]
            stands, paint = replace(stands, named=rng.random() < 0.5), own
        placed.append(replace(stands, colour=paint, x=_near(rng, x)))
    return Subject("view", tuple(placed), shown)


def _standing(rng: Random, shown: Landscape, radius: float) -> Placed:
    """A figure where it belongs: on the ground, on or in the water, or in the air."""
    horizon = shown.horizon
    if rng.random() < 0.14:
        return Placed(rng.choice(IN_THE_AIR), "", 0.5, rng.uniform(0.28, 0.36), radius)
    figure = rng.choice(ON_WATER if shown.ground == "sea" else ON_LAND)
    if figure == "boat":
        y = horizon + 0.06 - radius * 0.5
    elif figure == "fish":
        y = rng.uniform(min(horizon + radius * 0.5 + 0.04, 0.86), 0.86)
    else:
        y = horizon + rng.uniform(0.02, 0.1) - radius * 0.55
    return Placed(figure, "", 0.5, y, radius)

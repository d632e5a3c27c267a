"""How often the model draws what was asked, on combinations that training never showed.

Every line is measured three times by the same look: on pictures that the model rendered, on
pictures that were drawn for the same prompts (the ceiling of the look), and on those after the
autoencoder (the ceiling of any model with these latents).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random

from PIL import Image

from daemon.embedded.recipe import looks
from daemon.embedded.recipe.classifier import Classifier
from daemon.embedded.recipe.heldout import is_held_out
from daemon.embedded.recipe.palette import PALETTE
from daemon.embedded.recipe.scenes import Scene, draw
from daemon.embedded.recipe.shapes import SHAPES
from daemon.embedded.recipe.subjects import FIGURES, RELATIONS, Placed, Subject, subject
from daemon.embedded.recipe.wording import NUMBERS, plural, with_article

Painter = Callable[[Sequence[Scene]], list[Image.Image]]
"""Makes one picture a scene, from its caption (a model) or its subject (the renderer)."""

RELATION_WORDS = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with Wilson's 95 % interval (Wilson 1927, JASA 22)."""

    right: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        z, n = 1.96, self.of
        share = self.right / n
        centre = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.right}/{self.of} = {self.right / self.of:.0%} ({low:.0%} to {high:.0%})"


def shape_scenes(number: int, seed: int = 0) -> list[Scene]:
    """Single shapes, "a COLOUR SHAPE on a COLOUR background", each combination held out."""
    return _singles(list(SHAPES), number, Random(f"shapes/{seed}"))


def icon_scenes(number: int, seed: int = 0) -> list[Scene]:
    """The same with all twenty figures in turn."""
    return _singles(list(FIGURES), number, Random(f"icons/{seed}"))


def relation_scenes(number: int, seed: int = 0) -> list[Scene]:
    """Two shapes of two colours, one beside or above the other; the first is held out."""
    return list(islice(_pairs(Random(f"relations/{seed}")), number))


def count_scenes(number: int, seed: int = 0) -> list[Scene]:
    """Two to five shapes of one colour; the combination is held out."""
    return list(islice(_counts(Random(f"counts/{seed}")), number))


def evaluate(paint: Painter, classifier: Classifier, each: int) -> dict[str, Share]:
    """The judged lines, of `each` pictures a line."""
    results = _measure_shapes(paint, shape_scenes(each))
    results["relation of two"] = _measure_relations(paint, relation_scenes(each))
    results["count of 2 to 5"] = _measure_counts(paint, count_scenes(each))
    scenes = icon_scenes(each)
    named = classifier.names(paint(scenes))
    asked = [scene.subject.placed[0].figure for scene in scenes]
    right = sum(name == figure for name, figure in zip(named, asked, strict=True))
    return {**results, "figure of twenty": Share(right, len(scenes))}


def drawn(scenes: Sequence[Scene]) -> list[Image.Image]:
    """The painter that is the ceiling."""
    return [draw(scene) for scene in scenes]


def table(columns: dict[str, dict[str, Share]]) -> str:
    """A Markdown table, a line a measure and a column a painter."""
    lines = next(iter(columns.values()))
    rows = [["", *columns], ["---"] * (1 + len(columns))]
    rows += [[line, *(str(column[line]) for column in columns.values())] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _measure_shapes(paint: Painter, scenes: Sequence[Scene]) -> dict[str, Share]:
    right = {"background colour": 0, "object colour": 0, "shape of six": 0}
    for scene, picture in zip(scenes, paint(scenes), strict=True):
        asked, seen = scene.subject.placed[0], looks.pixels(picture)
        mask = looks.foreground(seen)
        background = looks.nearest_colour(looks.background_of(seen))
        right["background colour"] += background == scene.subject.background
        right["object colour"] += looks.main_colour(seen, mask) == asked.colour
        right["shape of six"] += bool(mask.any()) and looks.shape_of(mask) == asked.figure
    return {line: Share(number, len(scenes)) for line, number in right.items()}


def _measure_relations(paint: Painter, scenes: Sequence[Scene]) -> Share:
    right = 0
    for scene, picture in zip(scenes, paint(scenes), strict=True):
        seen = looks.pixels(picture)
        mask = looks.foreground(seen)
        one, other = (
            looks.centre_of_colour(seen, figure.colour, mask) for figure in scene.subject.placed
        )
        if one and other:
            right += _stands(scene.subject.relation, one, other)
    return Share(right, len(scenes))


def _stands(relation: str, one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether `one` is on the asked side of `other`, and more so than to any other side."""
    across, down = one[0] - other[0], one[1] - other[1]
    sides = {"left": -across, "right": across, "above": -down, "below": down}
    return max(sides, key=lambda side: sides[side]) == relation


def _measure_counts(paint: Painter, scenes: Sequence[Scene]) -> Share:
    seen = [looks.number_of_objects(looks.pixels(picture)) for picture in paint(scenes)]
    return Share(
        sum(count == len(scene.subject.placed) for count, scene in zip(seen, scenes, strict=True)),
        len(scenes),
    )


def _singles(figures: Sequence[str], number: int, rng: Random) -> list[Scene]:
    scenes = []
    for index in range(number):
        figure = figures[index % len(figures)]
        colour, background = _held_out_colours(rng, figure)
        placed = Placed(figure, colour, 0.5, 0.5, 0.28)
        text = f"{with_article(f'{colour} {figure}')} on {with_article(background)} background"
        scenes.append(Scene(Subject("single", (placed,), background), text, index))
    return scenes


def _held_out_colours(rng: Random, figure: str) -> tuple[str, str]:
    """The colours of a figure and its background that are held out together."""
    return rng.choice(
        [
            (colour, background)
            for colour in PALETTE
            for background in PALETTE
            if colour != background and is_held_out(colour, figure, background)
        ]
    )


def _pairs(rng: Random) -> Iterator[Scene]:
    index = 0
    while True:
        made = subject(rng, "pair")
        relation = list(RELATIONS)[index % len(RELATIONS)]
        first, second = rng.sample(list(SHAPES), 2)
        colour, background = _held_out_colours(rng, first)
        other = rng.choice([name for name in PALETTE if name not in (colour, background)])
        made = replace(
            made, placed=_two(relation, (first, colour), (second, other)), background=background,
            relation=relation,
        )  # fmt: skip
        a, b = with_article(f"{colour} {first}"), with_article(f"{other} {second}")
        text = f"{a} {RELATION_WORDS[relation]} {b} on {with_article(background)} background"
        yield Scene(made, text, index)
        index += 1


def _two(relation: str, *figures: tuple[str, str]) -> tuple[Placed, ...]:
    spots = zip(figures, RELATIONS[relation], strict=True)
    return tuple(Placed(figure, colour, x, y, 0.18) for (figure, colour), (x, y) in spots)


def _counts(rng: Random) -> Iterator[Scene]:
    index = 0
    while True:
        number = 2 + index % 4
        made = subject(rng, "count")
        while len(made.placed) != number:
            made = subject(rng, "count")
        figure = rng.choice(list(SHAPES))
        colour, background = _held_out_colours(rng, figure)
        placed = tuple(replace(one, figure=figure, colour=colour) for one in made.placed)
        text = (
            f"{NUMBERS[number]} {colour} {plural(figure)} on {with_article(background)} background"
        )
        yield Scene(replace(made, placed=placed, background=background), text, index)
        index += 1

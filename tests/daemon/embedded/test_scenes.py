from __future__ import annotations

import re
from itertools import islice

import pytest

from daemon.embedded.recipe import looks
from daemon.embedded.recipe.heldout import is_held_out
from daemon.embedded.recipe.landscapes import Landscape
from daemon.embedded.recipe.palette import PALETTE
from daemon.embedded.recipe.scenes import Scene, draw, scene
from daemon.embedded.recipe.subjects import FIGURES
from daemon.embedded.recipe.wording import NUMBERS

SCENES = [scene(seed) for seed in range(400)]


def of_kind(kind: str, number: int) -> list[Scene]:
    return list(islice((shown for shown in SCENES if shown.subject.kind == kind), number))


def test_a_seed_gives_the_same_picture_and_words_again() -> None:
    for seed in (0, 7, 123_456_789):
        assert scene(seed) == scene(seed)
        assert draw(scene(seed)).tobytes() == draw(scene(seed)).tobytes()
    assert len({shown.caption for shown in SCENES}) > 380


def test_no_scene_shows_a_combination_that_is_held_out() -> None:
    for shown in SCENES:
        scenery = shown.subject.background
        before = scenery.ground if isinstance(scenery, Landscape) else scenery
        for figure in shown.subject.placed:
            assert not is_held_out(figure.colour, figure.figure, before)


def test_about_one_combination_in_ten_is_held_out() -> None:
    held = [is_held_out(c, f, b) for c in PALETTE for f in FIGURES for b in PALETTE]
    assert 0.08 < sum(held) / len(held) < 0.12


def test_a_caption_names_no_colour_figure_or_number_that_is_not_there() -> None:
    for shown in SCENES:
        words = re.findall(r"[a-z]+|\d", shown.caption)
        there = {figure.colour for figure in shown.subject.placed}
        scenery = shown.subject.background
        if isinstance(scenery, Landscape):
            there |= {"green", "blue", "orange", "yellow"}  # grass, skies, the sun
        else:
            there.add(scenery)
            named = {word.removesuffix("s") for word in words} & set(FIGURES)
            assert named <= {figure.figure for figure in shown.subject.placed}, shown.caption
        assert set(words) & set(PALETTE) <= there, shown.caption
        for number, name in NUMBERS.items():
            if name in words:
                assert len(shown.subject.placed) == number, shown.caption


def test_the_colours_that_a_caption_names_are_in_the_picture() -> None:
    for shown in of_kind("single", 40):
        seen = looks.pixels(draw(shown))
        assert looks.nearest_colour(looks.background_of(seen)) == shown.subject.background
        figure = shown.subject.placed[0]
        colours = looks.nearest_colours(seen)[looks.foreground(seen)]
        assert (colours == list(PALETTE).index(figure.colour)).mean() > 0.2, shown.caption


def test_what_stands_left_in_the_caption_stands_left_in_the_picture() -> None:
    pairs = [shown for shown in of_kind("pair", 200) if shown.subject.relation == "left"]
    assert pairs
    for shown in pairs:
        first, second = shown.subject.placed
        assert first.x < second.x


@pytest.mark.parametrize("size", [(128, 128), (256, 192), (192, 256), (384, 384)])
def test_a_scene_is_drawn_in_other_sizes_without_being_stretched(size: tuple[int, int]) -> None:
    circles = [s for s in of_kind("single", 400) if s.subject.placed[0].figure == "circle"]
    for shown in circles[:3]:
        picture = draw(shown, *size)
        assert picture.size == size
        rows, columns = looks.foreground(looks.pixels(picture)).nonzero()
        width, height = int(columns.max() - columns.min()), int(rows.max() - rows.min())
        inside = columns.min() > 0 and rows.min() > 0
        inside = inside and columns.max() < size[0] - 1 and rows.max() < size[1] - 1
        assert not inside or abs(width - height) <= 3

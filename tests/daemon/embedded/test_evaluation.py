from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image

from daemon.embedded.recipe import evaluation
from daemon.embedded.recipe.classifier import Classifier, trained_classifier
from daemon.embedded.recipe.evaluation import Share, drawn, evaluate, table
from daemon.embedded.recipe.heldout import is_held_out
from daemon.embedded.recipe.scenes import Scene, draw


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return trained_classifier(steps=120, drawn=600)


def mirrored(scenes: Sequence[Scene]) -> list[Image.Image]:
    return [draw(one).transpose(Image.Transpose.FLIP_LEFT_RIGHT) for one in scenes]


def blank(scenes: Sequence[Scene]) -> list[Image.Image]:
    return [Image.new("RGB", (256, 256), "white") for _ in scenes]


def test_what_is_drawn_as_asked_counts_as_right(classifier: Classifier) -> None:
    results = evaluate(drawn, classifier, 24)
    for line in ("background colour", "object colour", "shape of six", "relation of two"):
        assert results[line] == Share(24, 24), line
    assert results["count of 2 to 5"].right >= 23
    assert results["figure of twenty"].right >= 12  # the short training of this test


def test_a_mirrored_picture_has_the_wrong_relation_and_nothing_else_wrong(
    classifier: Classifier,
) -> None:
    results = evaluate(mirrored, classifier, 24)
    assert results["relation of two"] == Share(12, 24), "above and below stay"
    assert results["shape of six"] == Share(24, 24)


def test_an_empty_picture_shows_nothing_that_was_asked_for(classifier: Classifier) -> None:
    results = evaluate(blank, classifier, 24)
    for line in ("shape of six", "relation of two", "count of 2 to 5"):
        assert results[line].right == 0, line
    assert results["figure of twenty"].right <= 4


def test_every_combination_that_is_asked_for_is_held_out() -> None:
    for scenes in (
        evaluation.shape_scenes(40),
        evaluation.icon_scenes(40),
        evaluation.relation_scenes(40),
        evaluation.count_scenes(40),
    ):
        for one in scenes:
            first = one.subject.placed[0]
            assert is_held_out(first.colour, first.figure, str(one.subject.background))
        assert len({one.caption for one in scenes}) > 30


def test_the_interval_is_wilsons() -> None:
    low, high = Share(9, 10).interval
    assert (low, high) == pytest.approx((0.596, 0.982), abs=0.001)
    assert Share(10, 10).interval[1] == 1.0


def test_the_table_has_a_line_a_measure_and_a_column_a_painter() -> None:
    shown = table({"model": {"colour": Share(1, 2)}, "drawn": {"colour": Share(2, 2)}})
    assert shown.splitlines()[2] == "| colour | 1/2 = 50% (9% to 91%) | 2/2 = 100% (34% to 100%) |"

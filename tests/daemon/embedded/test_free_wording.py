from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image

from daemon.embedded.recipe.classifier import Classifier, trained_classifier
from daemon.embedded.recipe.evaluation import Share, drawn
from daemon.embedded.recipe.free_wording import evaluate_free_wording, free_scenes
from daemon.embedded.recipe.scenes import Scene


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return trained_classifier(steps=120, drawn=600)


def blank(scenes: Sequence[Scene]) -> list[Image.Image]:
    return [Image.new("RGB", (256, 256), "white") for _ in scenes]


def test_what_is_drawn_as_asked_counts_as_right(classifier: Classifier) -> None:
    results = evaluate_free_wording(drawn, classifier)
    assert results["free wording: background"] == Share(16, 16)
    assert results["free wording: object colour"].right >= 28
    assert results["free wording: figure"].right >= 15  # the short training of this test


def test_an_empty_picture_is_nothing_that_was_asked_for(classifier: Classifier) -> None:
    results = evaluate_free_wording(blank, classifier)
    assert results["free wording: all of it"].right == 0


def test_each_prompt_has_a_seed_of_its_own() -> None:
    scenes = free_scenes()
    assert [scene.seed for scene in scenes] == list(range(30))
    assert len({scene.caption for scene in scenes}) == 30

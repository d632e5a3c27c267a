from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from spool.catalogue import Catalogue
from spool.door import REFUSAL, resolve
from spool.jobs import MAX_SEED, parse_request
from spool.problems import Problem
from tests.spool.samples import MODEL

_SCHEMA = MODEL.parameter_schema
PLAIN = dataclasses.replace(MODEL, name="plain", default=False, available_loras=())


def _refusal(catalogue: Catalogue, seed: int = 1, **fields: Any) -> dict[str, Any]:
    request = parse_request({"prompt": "x", **fields})
    with pytest.raises(Problem) as caught:
        resolve(request, seed, catalogue)
    assert caught.value.status == 422
    return caught.value.as_json()


def test_the_defaults_of_the_model_are_written_out(catalogue: Catalogue) -> None:
    job = resolve(parse_request({"prompt": "a red circle"}), 7, catalogue)
    assert job is not None
    assert job.model_dump() == {
        "model": "tiny",
        "prompt": "a red circle",
        "negative_prompt": None,
        "width": 128,
        "height": 128,
        "seed": 7,
        "steps": 20,
        "guidance_scale": 5.0,
        "sampler": "euler",
        "loras": (),
        "count": 1,
    }


def test_what_was_asked_goes_before_the_defaults(catalogue: Catalogue) -> None:
    asked = {
        "prompt": "x",
        "negative_prompt": "y",
        "width": 256,
        "height": 64,
        "seed": 7,
        "steps": 3,
        "guidance_scale": 1.5,
        "sampler": "dpmpp_2m",
        "loras": [{"id": "ink", "weight": 0.5, "trigger_weight": 0.25}],
        "count": 4,
        "model": "tiny",
    }
    job = resolve(parse_request(asked), 7, catalogue)
    assert job is not None
    assert job.model_dump(mode="json") == asked


def test_null_takes_the_default(catalogue: Catalogue) -> None:
    asked = {"prompt": "x", "width": None, "steps": None, "sampler": None, "model": None}
    job = resolve(parse_request(asked), 7, catalogue)
    assert job is not None
    assert (job.width, job.steps, job.sampler, job.model) == (128, 20, "euler", "tiny")


def test_an_empty_catalogue_leaves_the_job_to_the_start() -> None:
    assert resolve(parse_request({"prompt": "x"}), 1, Catalogue()) is None
    assert resolve(parse_request({"prompt": "x", "model": "any"}), 1, Catalogue()) is None


@pytest.mark.parametrize(
    ("fields", "pointer", "says"),
    [
        ({"width": 100}, "#/width", "100 is not a multiple of 8; the nearest are 96, 104"),
        ({"height": 2056}, "#/height", "2056 is above 2048"),
        ({"steps": 151}, "#/steps", "151 is above 150"),
        ({"guidance_scale": 31}, "#/guidance_scale", "31.* is above 30"),
        ({"sampler": "magic"}, "#/sampler", "'magic' is unknown; there are euler, dpmpp_2m"),
        ({"model": "nosuch"}, "#/model", "'nosuch'.*tiny"),
        ({"loras": [{"id": "nosuch"}]}, "#/loras/0/id", "'nosuch'; available: ink"),
        ({"loras": [{"id": "ink"}, {"id": "no"}]}, "#/loras/1/id", "'no'; available: ink"),
    ],
)
def test_what_the_model_cannot_render_is_refused_with_its_field_named(
    catalogue: Catalogue, fields: dict[str, Any], pointer: str, says: str
) -> None:
    body = _refusal(catalogue, **fields)
    assert [error["pointer"] for error in body["errors"]] == [pointer]
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(body["detail"])


def test_what_is_not_said_of_a_lora_is_its_own_default() -> None:
    ink = {**MODEL.available_loras[0], "weight": 0.8, "trigger_weight": 0.0}
    catalogue = Catalogue({"tiny": dataclasses.replace(MODEL, available_loras=(ink,))})
    loras = [{"id": "ink"}, {"id": "ink", "weight": 1.0}, {"id": "ink", "trigger_weight": 0.5}]
    job = resolve(parse_request({"prompt": "x", "loras": loras}), 7, catalogue)
    assert job is not None
    found = [(lora.weight, lora.trigger_weight) for lora in job.loras]
    assert found == [(0.8, 0.0), (1.0, 0.0), (0.8, 0.5)]


def test_a_lora_for_a_model_without_any_is_refused() -> None:
    body = _refusal(Catalogue({"plain": PLAIN}), loras=[{"id": "ink"}])
    assert body["errors"][0]["pointer"] == "#/loras/0/id"
    assert "available: none" in body["detail"]


def test_a_field_that_a_model_does_not_take_is_refused_once_in_the_models_own_words() -> None:
    sentence = "chroma takes no LoRAs; leave loras out"
    loras = {"anyOf": [{"type": "array", "maxItems": 0}, {"type": "null"}], REFUSAL: sentence}
    schema = {**_SCHEMA, "properties": {**_SCHEMA["properties"], "loras": loras}}
    chroma = dataclasses.replace(PLAIN, name="chroma", parameter_schema=schema)
    problem = _refusal(Catalogue({"chroma": chroma}), loras=[{"id": "ink"}])
    assert [error["detail"] for error in problem["errors"]] == [
        f"loras: {sentence} (model 'chroma')"
    ]


@pytest.fixture
def picky() -> Catalogue:
    """A model that takes no tags in its prompts, and few steps with one of its samplers."""
    text = {"type": "string", "not": {"pattern": "<lora:", "title": "a tag; use the field loras"}}
    properties = {
        **_SCHEMA["properties"],
        "prompt": text,
        "negative_prompt": {"anyOf": [text, {"type": "null"}], "default": None},
    }
    rule = {
        "if": {"properties": {"sampler": {"const": "euler"}}, "required": ["sampler"]},
        "then": {"properties": {"steps": {"maximum": 50, "when": "with sampler euler"}}},
    }
    schema = {**_SCHEMA, "properties": properties, "allOf": [rule]}
    return Catalogue({"picky": dataclasses.replace(PLAIN, name="picky", parameter_schema=schema)})


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_what_a_text_must_not_contain_is_said(picky: Catalogue, field: str) -> None:
    body = _refusal(picky, 1, **{field: "a cat <lora:ink:0.8>"})
    assert body["errors"] == [
        {
            "detail": f"{field}: must not contain a tag; use the field loras (model 'picky')",
            "pointer": f"#/{field}",
        }
    ]


def test_a_limit_that_holds_only_sometimes_says_when(picky: Catalogue) -> None:
    body = _refusal(picky, steps=51)
    assert body["detail"] == "steps: 51 is above 50, the most with sampler euler (model 'picky')"
    assert resolve(parse_request({"prompt": "x", "steps": 51, "sampler": "dpmpp_2m"}), 1, picky)


def test_every_fault_is_told_at_once(catalogue: Catalogue) -> None:
    body = _refusal(catalogue, width=100, steps=151, loras=[{"id": "no"}])
    assert {error["pointer"] for error in body["errors"]} == {
        "#/width",
        "#/steps",
        "#/loras/0/id",
    }


def test_the_seed_of_the_last_picture_must_be_one_too(catalogue: Catalogue) -> None:
    request = parse_request({"prompt": "x", "count": 3})
    assert resolve(request, MAX_SEED - 2, catalogue) is not None
    for known in (catalogue, Catalogue()):
        body = _refusal(known, seed=MAX_SEED - 1, count=3)
        assert body["errors"][0]["pointer"] == "#/seed"
        assert str(MAX_SEED) in body["detail"]


def test_a_named_model_is_checked_by_its_own_schema(catalogue: Catalogue) -> None:
    wide = {**_SCHEMA["properties"]["width"], "default": 512}
    schema = {**_SCHEMA, "properties": {**_SCHEMA["properties"], "width": wide}}
    large = dataclasses.replace(PLAIN, name="large", parameter_schema=schema)
    both = Catalogue({**catalogue.models, "large": large})
    job = resolve(parse_request({"prompt": "x", "model": "large"}), 1, both)
    assert job is not None
    assert (job.model, job.width) == ("large", 512)

from __future__ import annotations

import json
from typing import Any

import pytest

from spool.jobs import (
    MAX_COUNT,
    MAX_FAULTS,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    JobRequest,
    LoraRequest,
    ResolvedJob,
    parse_request,
)
from spool.problems import Problem


def _refusal(document: object) -> Problem:
    with pytest.raises(Problem) as caught:
        parse_request(document)
    return caught.value


def test_a_prompt_alone_is_a_job() -> None:
    request = parse_request({"prompt": "a red circle"})
    assert (request.prompt, request.count, request.priority) == ("a red circle", 1, 50)
    assert (request.seed, request.width, request.model, request.loras) == (None, None, None, ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 64),
        ("width", 4096),
        ("width", 110.0),
        ("seed", 0),
        ("seed", MAX_SEED),
        ("seed", None),
        ("steps", 1),
        ("steps", 200),
        ("count", MAX_COUNT),
        ("priority", 1),
        ("priority", 100),
        ("guidance_scale", 0),
        ("guidance_scale", 7.5),
        ("prompt", "x" * MAX_PROMPT_CHARS),
        ("prompt", "改行\n\t😀"),
        ("negative_prompt", None),
        ("loras", []),
        ("loras", [{"id": "ink"}]),
        ("loras", [{"id": "ink", "weight": -2, "trigger_weight": 0}] * 16),
    ],
)
def test_a_value_within_its_range_is_taken(field: str, value: Any) -> None:
    request = parse_request({"prompt": "x", field: value})
    taken = request.model_dump(mode="json")[field]
    if field == "loras":
        assert len(taken) == len(value)
    else:
        assert taken == value


@pytest.mark.parametrize(
    ("document", "pointer", "says"),
    [
        ({}, "#/prompt", "required"),
        ({"prompt": None}, "#/prompt", "string"),
        ({"prompt": 5}, "#/prompt", "string"),
        ({"prompt": "x" * (MAX_PROMPT_CHARS + 1)}, "#/prompt", "20001 characters"),
        ({"prompt": "x" * 2**20}, "#/prompt", "1048576 characters"),
        ({"prompt": "a\x00b"}, "#/prompt", "NUL"),
        ({"prompt": "x", "promt": "x"}, "#/promt", "no such field.*prompt, negative_prompt"),
        ({"prompt": "x", "a/b~c": 1}, "#/a~1b~0c", "no such field"),
        ({"prompt": "x", "width": 63}, "#/width", "63"),
        ({"prompt": "x", "width": 4097}, "#/width", "4097"),
        ({"prompt": "x", "width": 100.5}, "#/width", "100.5"),
        ({"prompt": "x", "width": "512"}, "#/width", "'512'"),
        ({"prompt": "x", "width": True}, "#/width", "whole number.*True"),
        ({"prompt": "x", "height": [512]}, "#/height", "integer"),
        ({"prompt": "x", "steps": 0}, "#/steps", "0"),
        ({"prompt": "x", "steps": 201}, "#/steps", "201"),
        ({"prompt": "x", "steps": False}, "#/steps", "False"),
        ({"prompt": "x", "seed": -1}, "#/seed", "-1"),
        ({"prompt": "x", "seed": MAX_SEED + 1}, "#/seed", str(MAX_SEED + 1)),
        ({"prompt": "x", "seed": 1e300}, "#/seed", "seed"),
        ({"prompt": "x", "seed": "1"}, "#/seed", "'1'"),
        ({"prompt": "x", "seed": True}, "#/seed", "True"),
        ({"prompt": "x", "count": 0}, "#/count", "0"),
        ({"prompt": "x", "count": MAX_COUNT + 1}, "#/count", "101"),
        ({"prompt": "x", "count": None}, "#/count", "integer"),
        ({"prompt": "x", "priority": 0}, "#/priority", "0"),
        ({"prompt": "x", "priority": 101}, "#/priority", "101"),
        ({"prompt": "x", "guidance_scale": -0.1}, "#/guidance_scale", "-0.1"),
        ({"prompt": "x", "guidance_scale": 51}, "#/guidance_scale", "51"),
        ({"prompt": "x", "guidance_scale": "7"}, "#/guidance_scale", "'7'"),
        ({"prompt": "x", "guidance_scale": True}, "#/guidance_scale", "True"),
        ({"prompt": "x", "guidance_scale": float("nan")}, "#/guidance_scale", "finite"),
        ({"prompt": "x", "model": ""}, "#/model", "at least 1 character"),
        ({"prompt": "x", "model": "m" * 201}, "#/model", "201 characters"),
        ({"prompt": "x", "sampler": 5}, "#/sampler", "string"),
        ({"prompt": "x", "name": "a\x00"}, "#/name", "NUL"),
        ({"prompt": "x", "loras": "ink"}, "#/loras", "tuple|list"),
        ({"prompt": "x", "loras": [{"id": "ink"}] * 17}, "#/loras", "16"),
        ({"prompt": "x", "loras": [{}]}, "#/loras/0/id", "required"),
        ({"prompt": "x", "loras": [{"id": "a"}, {"id": ""}]}, "#/loras/1/id", "at least 1"),
        ({"prompt": "x", "loras": [{"id": "a", "weight": 2.1}]}, "#/loras/0/weight", "2.1"),
        ({"prompt": "x", "loras": [{"id": "a", "weight": True}]}, "#/loras/0/weight", "True"),
        (
            {"prompt": "x", "loras": [{"id": "a", "trigger_weight": -1}]},
            "#/loras/0/trigger_weight",
            "-1",
        ),
        (
            {"prompt": "x", "loras": [{"id": "a", "scale": 1}]},
            "#/loras/0/scale",
            "no such field.*id, weight, trigger_weight",
        ),
    ],
)
def test_a_bad_value_is_refused_with_its_field_named(
    document: dict[str, Any], pointer: str, says: str
) -> None:
    problem = _refusal(document)
    assert problem.status == 422
    assert [error["pointer"] for error in problem.as_json()["errors"]] == [pointer]
    with pytest.raises(Problem, match=says):
        raise problem
    name = pointer.removeprefix("#/").replace("/", ".").replace("~1", "/").replace("~0", "~")
    assert problem.detail.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("document", "kind"), [([], "a list"), ("x", "a string"), (None, "null"), (5, "a scalar")]
)
def test_what_is_no_object_is_no_job(document: object, kind: str) -> None:
    problem = _refusal(document)
    assert kind in problem.detail
    assert '{"prompt"' in problem.detail


def test_every_fault_is_told_at_once() -> None:
    problem = _refusal({"prompt": 1, "steps": 0, "wdth": 1})
    pointers = {error["pointer"] for error in problem.as_json()["errors"]}
    assert pointers == {"#/prompt", "#/steps", "#/wdth"}


def test_a_megabyte_of_faults_is_told_in_brief() -> None:
    document = {f"field{number}": 1 for number in range(50_000)} | {"x" * 2**20: 1}
    problem = _refusal(document)
    errors = problem.as_json()["errors"]
    assert len(errors) == MAX_FAULTS + 1
    assert "49981 more" in errors[-1]["detail"]
    assert len(json.dumps(problem.as_json())) < 20_000


def test_a_long_field_name_is_told_in_brief() -> None:
    problem = _refusal({"prompt": "x", "y" * 2**20: 1})
    assert len(json.dumps(problem.as_json())) < 2_000


def test_every_field_is_described_and_its_range_stands_in_the_schema() -> None:
    schema = JobRequest.model_json_schema()
    assert all(field["description"] for field in schema["properties"].values())
    lora = LoraRequest.model_json_schema()["properties"]
    assert all(field["description"] for field in lora.values())
    limits = {
        name: next(branch for branch in field.get("anyOf", [field]) if branch.get("type"))
        for name, field in schema["properties"].items()
    }
    assert (limits["seed"]["minimum"], limits["seed"]["maximum"]) == (0, MAX_SEED)
    assert (limits["steps"]["minimum"], limits["steps"]["maximum"]) == (1, 200)
    assert limits["prompt"]["maxLength"] == MAX_PROMPT_CHARS


def test_a_request_and_a_resolved_job_do_not_change() -> None:
    request = parse_request({"prompt": "x"})
    with pytest.raises(ValueError, match="frozen"):
        request.prompt = "y"  # type: ignore[misc]


def test_what_decides_the_picture_is_all_in_the_resolved_job() -> None:
    not_in_the_picture = {"priority", "not_before", "name"}
    assert set(JobRequest.model_fields) - not_in_the_picture == set(ResolvedJob.model_fields)

"""What the flow-matching models take: the guide's examples, and nothing that they would ignore."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from daemon.errors import ModelError
from daemon.families import ModelSpec, families, parameters_of
from daemon.models import Models
from spool.door import resolve
from spool.jobs import ResolvedJob, parse_request
from spool.problems import Problem
from tests.daemon.flow_pictures import FLOW_MODELS

# The guide's requests, as its sections Chroma, Flux Dev / Schnell and Z-Image Turbo have them.
GUIDE = {
    "chroma": "a fluffy orange cat sleeping on a sunny windowsill, soft natural light",
    "dev": "A photorealistic landscape of snow-capped mountains",
    "schnell": "A photorealistic landscape of snow-capped mountains",
    "turbo": "A vintage coffee shop interior with warm lighting",
    "base": "A vintage coffee shop interior with warm lighting",
}
DEFAULTS = {
    "dev": (28, 3.5),
    "schnell": (4, 0.0),
    "chroma": (40, 3.0),
    "turbo": (8, 0.0),
    "base": (50, 4.0),
}


def send(spec: ModelSpec, **fields: Any) -> ResolvedJob:
    """What the door makes of a request. Raises Problem."""
    job = resolve(parse_request({"prompt": "x", **fields}), 1, Models([spec]).catalogue)
    assert job is not None
    return job


def refusal(spec: ModelSpec, **fields: Any) -> str:
    with pytest.raises(Problem) as caught:
        send(spec, **fields)
    assert [error.pointer for error in caught.value.errors] == ["/" + next(iter(fields))]
    return caught.value.errors[0].detail


@pytest.mark.parametrize("name", FLOW_MODELS)
def test_the_guides_request_is_taken_with_the_models_own_defaults(
    flow_specs: dict[str, ModelSpec], name: str
) -> None:
    job = send(flow_specs[name], prompt=GUIDE[name], width=1024, height=1024)
    assert (job.steps, job.guidance_scale) == DEFAULTS[name]
    assert (job.sampler, job.negative_prompt, job.loras) == ("euler", None, ())


@pytest.mark.parametrize("name", FLOW_MODELS)
def test_a_prompt_alone_is_a_job_and_empty_fields_of_a_form_do_no_harm(
    flow_specs: dict[str, ModelSpec], name: str
) -> None:
    job = send(flow_specs[name], negative_prompt="", loras=[], guidance_scale=None)
    assert (job.width, job.height) == (1024, 1024)


@pytest.mark.parametrize("name", FLOW_MODELS)
def test_the_schema_is_valid_and_validates_its_own_defaults(
    flow_specs: dict[str, ModelSpec], name: str
) -> None:
    schema = parameters_of(flow_specs[name]).model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    defaults = {
        field: part["default"] for field, part in schema["properties"].items() if "default" in part
    }
    jsonschema.validate({"prompt": "x", **defaults}, schema)


@pytest.mark.parametrize("name", FLOW_MODELS)
@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("width", 1000, "1000 is not a multiple of 16; the nearest are 992, 1008"),
        ("height", 72, "72 is not a multiple of 16"),
        ("width", 2064, "2064 is above 2048, the most"),
        ("sampler", "dpm++_2m", "'dpm++_2m' is unknown; there are euler"),
    ],
)
def test_what_lies_outside_is_refused_by_name(
    flow_specs: dict[str, ModelSpec], name: str, field: str, value: object, sentence: str
) -> None:
    assert f"{field}: {sentence}" in refusal(flow_specs[name], **{field: value})


@pytest.mark.parametrize("name", FLOW_MODELS)
def test_loras_are_refused_in_a_sentence_that_names_the_family(
    flow_specs: dict[str, ModelSpec], name: str
) -> None:
    spec = flow_specs[name]
    expected = f"loras: {spec.family} takes no LoRAs; leave loras out (model '{name}')"
    assert refusal(spec, loras=[{"id": "civitai_1963644", "weight": 0.8}]) == expected


@pytest.mark.parametrize(
    ("name", "field", "value", "sentence"),
    [
        ("dev", "negative_prompt", "blurry", "flux takes no negative prompt; leave it out"),
        ("schnell", "negative_prompt", "blurry", "flux takes no negative prompt; leave it out"),
        ("turbo", "negative_prompt", "blurry", "zimage turbo takes no negative prompt"),
        ("schnell", "guidance_scale", 3.5, "flux schnell would ignore a guidance scale; leave"),
        ("schnell", "guidance_scale", 1, "flux schnell would ignore a guidance scale; leave"),
        ("turbo", "guidance_scale", 3.5, "zimage turbo runs without guidance; leave it out or"),
        ("turbo", "guidance_scale", 0.5, "zimage turbo runs without guidance; leave it out or"),
        ("dev", "guidance_scale", 31, "31.0 is above 30, the most"),
        ("chroma", "guidance_scale", 31, "31.0 is above 30, the most"),
    ],
)
def test_what_a_model_would_ignore_is_refused_by_name(
    flow_specs: dict[str, ModelSpec], name: str, field: str, value: object, sentence: str
) -> None:
    assert refusal(flow_specs[name], **{field: value}).startswith(f"{field}: {sentence}")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("schnell", {"guidance_scale": 0}),
        ("turbo", {"guidance_scale": 0.0}),
        ("turbo", {"guidance_scale": 1.0}),
        ("dev", {"guidance_scale": 0}),
        ("chroma", {"guidance_scale": 1.5, "negative_prompt": "blurry"}),
        ("base", {"guidance_scale": 5.0, "negative_prompt": "blurry"}),
    ],
)
def test_what_a_model_heeds_is_taken(
    flow_specs: dict[str, ModelSpec], name: str, fields: dict[str, Any]
) -> None:
    job = send(flow_specs[name], **fields)
    assert {field: getattr(job, field) for field in fields} == fields


def test_the_configuration_wins_over_the_card_and_the_card_over_the_family(
    flow_specs: dict[str, ModelSpec], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(
        flow_specs["chroma"].weights, folder, ignore=shutil.ignore_patterns("*.safetensors")
    )
    card = {"format": 1, "steps": 26, "width": 512, "height": 768, "prompts": ["a red circle"]}
    (folder / "genzo.json").write_text(json.dumps(card))
    spec = replace(flow_specs["chroma"], weights=folder, steps=30, guidance_scale=4.5)
    job = send(spec)
    assert (job.steps, job.guidance_scale, job.width, job.height) == (30, 4.5, 512, 768)
    schema = parameters_of(spec).model_json_schema()["properties"]
    assert schema["prompt"]["examples"] == ["a red circle"]


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("dev", {"width": 1000}),
        ("schnell", {"guidance_scale": 3.5}),
        ("turbo", {"guidance_scale": 4.0}),
        ("chroma", {"sampler": "heun"}),
    ],
)
def test_a_default_outside_its_own_range_is_refused(
    flow_specs: dict[str, ModelSpec], name: str, override: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match=f"default {next(iter(override))} of"):
        parameters_of(replace(flow_specs[name], **override))


@pytest.mark.parametrize("name", ["dev", "chroma", "turbo"])
@pytest.mark.parametrize("override", [{"loras": Path("/loras")}])
def test_loras_in_the_configuration_are_a_model_error(
    flow_specs: dict[str, ModelSpec], name: str, override: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="takes no LoRAs; remove"):
        parameters_of(replace(flow_specs[name], **override))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dev", "told apart by their weights; remove variant"),
        ("chroma", "has no variants; remove variant"),
        ("turbo", "Z-Image has no variant 'fast'; say turbo or base"),
    ],
)
def test_an_unknown_variant_is_a_model_error(
    flow_specs: dict[str, ModelSpec], name: str, sentence: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(sentence)):
        parameters_of(replace(flow_specs[name], variant="fast"))


@pytest.mark.parametrize(
    ("name", "family"), [("dev", "chroma"), ("chroma", "zimage"), ("turbo", "flux")]
)
def test_a_folder_of_another_family_is_refused(
    flow_specs: dict[str, ModelSpec], name: str, family: str
) -> None:
    with pytest.raises(ModelError, match=f"family {family} needs a"):
        parameters_of(replace(flow_specs[name], family=family))


def test_there_are_four_families() -> None:
    assert list(families) == ["sdxl", "chroma", "flux", "zimage"]


def test_parameters_are_known_without_importing_torch(flow_specs: dict[str, ModelSpec]) -> None:
    folders = {spec.family: str(spec.weights) for spec in flow_specs.values()}
    program = f"""
import sys
from pathlib import Path
from daemon.families import ModelSpec, parameters_of
for family, folder in {folders!r}.items():
    parameters_of(ModelSpec("m", family, Path(folder))).model_json_schema()
print([name for name in ("torch", "diffusers", "transformers", "numpy") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"

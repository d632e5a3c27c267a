"""What models take is read from their folders, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from daemon.errors import ModelError
from daemon.families import ModelSpec, parameters_of
from daemon.families.samplers import samplers


@pytest.fixture
def folder(embedded_spec: ModelSpec, tmp_path: Path) -> Path:
    """The embedded model's JSON files, without its weights."""
    copy = tmp_path / "model"
    shutil.copytree(
        embedded_spec.weights, copy, ignore=shutil.ignore_patterns("*.safetensors", "tokenizer*")
    )
    return copy


def spec_of(folder: Path) -> ModelSpec:
    return ModelSpec("m", "sdxl", folder)


def schema_of(spec: ModelSpec) -> dict[str, Any]:
    schema: dict[str, Any] = parameters_of(spec).model_json_schema()["properties"]
    return schema


def test_a_job_without_settings_takes_the_embedded_models_own(embedded_spec: ModelSpec) -> None:
    job = parameters_of(embedded_spec).model_validate({"prompt": "a red circle"})
    assert (job.width, job.height, job.steps) == (256, 256, 20)
    assert (job.guidance_scale, job.sampler) == (5.0, "euler")


def test_null_takes_the_default_too(embedded_spec: ModelSpec) -> None:
    job = parameters_of(embedded_spec).model_validate({"prompt": "x", "width": None, "seed": None})
    assert job.width == 256
    assert job.seed is None


def test_a_folder_without_card_takes_the_familys_defaults_and_its_trained_size(
    folder: Path,
) -> None:
    (folder / "genzo.json").unlink()
    config = json.loads((folder / "unet/config.json").read_text())
    (folder / "unet/config.json").write_text(json.dumps({**config, "sample_size": 128}))
    job = parameters_of(spec_of(folder)).model_validate({"prompt": "x"})
    assert (job.width, job.height, job.steps) == (1024, 1024, 28)
    assert (job.guidance_scale, job.sampler) == (6.0, "euler_a")


def test_the_configuration_wins_over_the_card(embedded_spec: ModelSpec) -> None:
    spec = replace(embedded_spec, steps=7, guidance_scale=0.0, sampler="heun", width=128)
    job = parameters_of(spec).model_validate({"prompt": "x"})
    assert (job.steps, job.guidance_scale, job.sampler) == (7, 0.0, "heun")
    assert (job.width, job.height) == (128, 256)


def test_the_schema_shows_ranges_steps_defaults_and_samplers(embedded_spec: ModelSpec) -> None:
    schema = schema_of(embedded_spec)
    width = schema["width"]
    assert width["anyOf"][0] == {
        "type": "integer",
        "minimum": 64,
        "maximum": 2048,
        "multipleOf": 8,
    }
    assert width["default"] == 256
    assert "256" in width["description"]
    assert schema["steps"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 200}
    assert schema["guidance_scale"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 30}
    assert schema["sampler"]["anyOf"][0]["enum"] == list(samplers)
    assert schema["sampler"]["default"] == "euler"
    assert "a red circle on a white background" in schema["prompt"]["examples"]


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize("tag", ["<lora:ink:0.8>", "a <lyco:x:1> b", "<hypernet:x:1>", "<LoRA:x>"])
def test_extra_networks_in_a_prompt_are_refused(
    embedded_spec: ModelSpec, field: str, tag: str
) -> None:
    parameters = parameters_of(embedded_spec)
    asked = {"prompt": "x", field: tag}
    with pytest.raises(ValidationError, match="name LoRAs in the field loras"):
        parameters.model_validate(asked)
    (fault,) = jsonschema.Draft202012Validator(parameters.model_json_schema()).iter_errors(asked)
    assert list(fault.absolute_path) == [field]


@pytest.mark.parametrize("prompt", ["lora", "<lora>", "a <b> c", "<3", "<loran:1>", "lora:ink:1"])
def test_prompts_that_only_look_like_it_are_taken(embedded_spec: ModelSpec, prompt: str) -> None:
    parameters = parameters_of(embedded_spec)
    parameters.model_validate({"prompt": prompt, "negative_prompt": prompt})
    jsonschema.validate({"prompt": prompt}, parameters.model_json_schema())


@pytest.mark.parametrize(("steps", "taken"), [(50, True), (51, False), (200, False)])
def test_lcm_takes_no_more_steps_than_it_was_distilled_with(
    embedded_spec: ModelSpec, steps: int, *, taken: bool
) -> None:
    schema = parameters_of(embedded_spec).model_json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    asked = {"prompt": "x", "sampler": "lcm", "steps": steps}
    assert validator.is_valid(asked) is taken
    assert validator.is_valid({**asked, "sampler": "euler"})


def test_default_steps_that_the_default_sampler_cannot_take_are_refused(
    embedded_spec: ModelSpec,
) -> None:
    with pytest.raises(ModelError, match=r"sampler lcm takes at most 50 steps, .* are 60"):
        parameters_of(replace(embedded_spec, sampler="lcm", steps=60))


_NOT_TO_ZERO_SNR = {"dpm++_2m_karras", "dpm++_2m_sde_karras", "dpm++_3m_sde_karras", "heun"}


@pytest.mark.parametrize(
    ("of_spec", "of_model", "zero"),
    [
        (None, None, False),
        (None, False, False),
        (None, True, True),
        (True, None, True),
        (True, False, True),
        (False, True, False),
    ],
)
def test_a_model_of_zero_snr_offers_only_the_samplers_that_can(
    folder: Path, of_spec: bool | None, of_model: bool | None, *, zero: bool
) -> None:
    path = folder / "scheduler/scheduler_config.json"
    config = json.loads(path.read_text())
    del config["rescale_betas_zero_snr"]
    if of_model is not None:
        config["rescale_betas_zero_snr"] = of_model
    path.write_text(json.dumps(config))
    names = set(
        schema_of(replace(spec_of(folder), zero_snr=of_spec))["sampler"]["anyOf"][0]["enum"]
    )
    assert set(samplers) - names == (_NOT_TO_ZERO_SNR if zero else set())


def test_a_default_sampler_that_cannot_do_zero_snr_is_refused(embedded_spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="default sampler of 'heun' is not possible"):
        parameters_of(replace(embedded_spec, zero_snr=True, sampler="heun"))


def test_the_schema_is_a_valid_schema_and_keeps_every_field_of_a_job(
    embedded_spec: ModelSpec,
) -> None:
    parameters = parameters_of(embedded_spec)
    jsonschema.Draft202012Validator.check_schema(parameters.model_json_schema())
    assert {"loras", "count", "priority", "seed"} <= set(schema_of(embedded_spec))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 100),
        ("width", 56),
        ("height", 2056),
        ("width", "256"),
        ("steps", 0),
        ("steps", 201),
        ("steps", True),
        ("guidance_scale", 30.5),
        ("guidance_scale", float("inf")),
        ("sampler", "magic"),
        ("colour", "red"),
    ],
)
def test_what_lies_outside_is_refused_by_name(
    embedded_spec: ModelSpec, field: str, value: object
) -> None:
    with pytest.raises(ValidationError) as caught:
        parameters_of(embedded_spec).model_validate({"prompt": "x", field: value})
    assert caught.value.errors()[0]["loc"] == (field,)


def test_parameters_are_known_without_importing_torch_or_diffusers(
    embedded_spec: ModelSpec,
) -> None:
    program = f"""
import sys
from pathlib import Path
from daemon.families import ModelSpec, parameters_of
import daemon.families.base
parameters_of(ModelSpec("m", "sdxl", Path({str(embedded_spec.weights)!r}))).model_json_schema()
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


def test_an_unknown_family_is_named_with_those_there_are(embedded_spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match=r"no family is named 'sd9'; the families are .*sdxl"):
        parameters_of(replace(embedded_spec, family="sd9"))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere does not exist; correct `weights`"):
        parameters_of(spec_of(tmp_path / "nowhere"))


def test_a_file_that_is_no_weights_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=r"model\.safetensors: it has 0 bytes only"):
        parameters_of(spec_of(tmp_path / "model.safetensors"))


def test_a_pipeline_of_another_class_is_refused(folder: Path) -> None:
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ModelError, match="holds a FluxPipeline, family sdxl needs"):
        parameters_of(spec_of(folder))


def test_a_config_that_is_cut_short_is_named(folder: Path) -> None:
    (folder / "unet/config.json").write_text('{"sample_size": 3')
    with pytest.raises(ModelError, match=r"unet/config.json is not JSON"):
        parameters_of(spec_of(folder))


def test_a_card_with_an_unknown_field_is_refused(folder: Path) -> None:
    (folder / "genzo.json").write_text('{"format": 1, "stepps": 20}')
    with pytest.raises(ModelError, match=r"genzo.json: stepps: .*correct or remove"):
        parameters_of(spec_of(folder))


@pytest.mark.parametrize(
    "override", [{"steps": 500}, {"sampler": "magic"}, {"width": 100}, {"guidance_scale": 31.0}]
)
def test_a_default_outside_its_own_range_is_refused(
    embedded_spec: ModelSpec, override: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match=f"default {next(iter(override))} of"):
        parameters_of(replace(embedded_spec, **override))

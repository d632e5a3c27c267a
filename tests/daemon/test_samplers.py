"""Samplers: each is what its name says elsewhere, and does what the model was trained for."""

from __future__ import annotations

import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from daemon.families import Model, ModelSpec, load, parameters_of
from daemon.families.pipelines import make_scheduler
from daemon.families.samplers import samplers
from daemon.families.schedulers import SdxlSchedulers, noise_changes
from tests.daemon.test_sdxl import bare_picture, ignore, job, render
from tests.daemon.tiny_models import open_bare

TO_ZERO_SNR = [name for name, sampler in samplers.items() if sampler.zero_snr]


@pytest.fixture(scope="module")
def bare(tiny_spec: ModelSpec) -> Any:
    return open_bare(tiny_spec.weights)


@pytest.fixture(scope="module")
def config(bare: Any) -> Any:
    """The config of the real SDXL's scheduler."""
    return bare.scheduler.config


@pytest.fixture(scope="module")
def zero_snr(tiny_spec: ModelSpec) -> Model:
    return load(replace(tiny_spec, prediction_type="v_prediction", zero_snr=True))


def test_the_samplers_have_a1111s_names() -> None:
    assert {name: sampler.label for name, sampler in samplers.items()} == {
        "euler": "Euler",
        "euler_a": "Euler a",
        "dpm++_2m": "DPM++ 2M",
        "dpm++_2m_karras": "DPM++ 2M Karras",
        "dpm++_2m_sde_karras": "DPM++ 2M SDE Karras",
        "dpm++_3m_sde_karras": "DPM++ 3M SDE Karras",
        "unipc": "UniPC",
        "ddim": "DDIM",
        "lcm": "LCM",
        "heun": "Heun",
    }


def test_each_sampler_is_configured_as_its_name_says(config: Any) -> None:
    made = {name: make_scheduler(sampler, config) for name, sampler in samplers.items()}
    for name, scheduler in made.items():
        assert bool(scheduler.config.get("use_karras_sigmas")) is ("karras" in name)
        assert ("sde" in str(scheduler.config.get("algorithm_type"))) is ("sde" in name)
        assert scheduler.config["timestep_spacing"] == "leading"
    assert made["dpm++_2m_sde_karras"].config["solver_order"] == 2
    assert made["dpm++_3m_sde_karras"].config["solver_order"] == 3


@pytest.mark.parametrize("sampler", samplers)
def test_every_real_step_is_counted(tiny: Model, sampler: str) -> None:
    assert tiny.total_steps(job(sampler=sampler, steps=20)) == (39 if sampler == "heun" else 20)


@pytest.mark.parametrize("sampler", samplers)
def test_the_jobs_before_leave_nothing_behind(tiny_spec: ModelSpec, sampler: str) -> None:
    model = load(tiny_spec)
    wanted = job(sampler=sampler, steps=5)
    first = model.denoise(wanted, 7, ignore)
    for other in samplers:
        model.denoise(job(sampler=other, steps=3), 8, ignore)
        model.total_steps(job(sampler=sampler, steps=9))
    assert torch.equal(model.denoise(wanted, 7, ignore), first)


@pytest.mark.parametrize(
    "sampler", ["euler_a", "dpm++_2m_sde_karras", "dpm++_3m_sde_karras", "lcm"]
)
def test_the_noise_between_steps_comes_from_the_seed_alone(tiny: Model, sampler: str) -> None:
    latents = []
    for state in (1, 2):
        torch.manual_seed(state)
        latents.append(tiny.denoise(job(sampler=sampler), 7, ignore))
    assert torch.equal(*latents)


@pytest.mark.parametrize("sampler", samplers)
def test_the_most_steps_there_are_can_be_taken(config: Any, sampler: str) -> None:
    schedulers = SdxlSchedulers(config, {})
    steps = samplers[sampler].max_steps or 200
    assert schedulers.timesteps(sampler, steps) == (399 if sampler == "heun" else steps)
    if samplers[sampler].max_steps:
        with pytest.raises(ValueError, match="num_inference_steps"):
            schedulers.timesteps(sampler, steps + 1)


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ({}, {}),
        ({"prediction_type": "v_prediction"}, {"prediction_type": "v_prediction"}),
        ({"timestep_spacing": "linspace"}, {"timestep_spacing": "linspace"}),
        ({"zero_snr": True}, {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}),
        (
            {"zero_snr": True, "timestep_spacing": "linspace"},
            {"rescale_betas_zero_snr": True, "timestep_spacing": "linspace"},
        ),
        ({"zero_snr": False}, {"rescale_betas_zero_snr": False}),
    ],
)
def test_what_the_spec_says_of_the_noise_goes_over_the_model(
    tiny_spec: ModelSpec, said: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert noise_changes(replace(tiny_spec, **said)) == changes


@pytest.mark.parametrize("sampler", samplers)
def test_the_spec_goes_over_what_the_models_file_leaves_out_too(
    sampler: str, tmp_path: Path
) -> None:
    (tmp_path / "scheduler_config.json").write_text(
        json.dumps({"_class_name": "EulerDiscreteScheduler", "beta_end": 0.012})
    )
    diffusers = importlib.import_module("diffusers")
    config = diffusers.EulerDiscreteScheduler.from_pretrained(str(tmp_path)).config
    changes = {"prediction_type": "v_prediction", "timestep_spacing": "trailing"}
    found = make_scheduler(samplers[sampler], config, **changes).config
    assert {name: found[name] for name in changes} == changes
    assert found["beta_end"] == 0.012


@pytest.mark.parametrize(
    "said", [{"prediction_type": "v_prediction"}, {"timestep_spacing": "trailing"}]
)
def test_what_the_spec_says_is_rendered_as_the_pipeline_does(
    tiny: Model, tiny_spec: ModelSpec, bare: Any, config: Any, said: dict[str, Any]
) -> None:
    model = load(replace(tiny_spec, **said))
    for sampler in ("euler", "dpm++_2m", "unipc"):
        wanted = job(sampler=sampler)
        found = render(model, wanted).tobytes()
        assert found == bare_picture(bare, config, wanted, **said).tobytes()
        assert found != render(tiny, wanted).tobytes(), "the spec changed nothing"


@pytest.mark.parametrize("sampler", TO_ZERO_SNR)
def test_samplers_to_zero_snr_equal_the_pipelines_own(
    zero_snr: Model, bare: Any, config: Any, sampler: str
) -> None:
    changes: dict[str, Any] = noise_changes(zero_snr.spec)
    for steps in (1, 4, 28):
        wanted = job(sampler=sampler, steps=steps)
        expected = bare_picture(bare, config, wanted, **changes)
        assert render(zero_snr, wanted).tobytes() == expected.tobytes()


@pytest.mark.parametrize("sampler", TO_ZERO_SNR)
def test_samplers_to_zero_snr_begin_at_the_last_timestep(config: Any, sampler: str) -> None:
    scheduler = make_scheduler(
        samplers[sampler], config, rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    for steps in (1, 4, 28, 50):
        scheduler.set_timesteps(steps)
        assert scheduler.timesteps[0] == 999


@pytest.mark.parametrize("sampler", [name for name in samplers if name not in TO_ZERO_SNR])
def test_the_samplers_left_out_of_zero_snr_cannot_do_it_in_diffusers(
    config: Any, sampler: str
) -> None:
    scheduler: Any = make_scheduler(
        samplers[sampler], config, rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(28)
    if sampler == "heun":
        assert scheduler.sigmas[0] < 15, "it knows of zero SNR now: offer it"
        return
    with pytest.raises(IndexError, match="out of bounds"):
        _run(scheduler)


def _run(scheduler: Any) -> None:
    sample = torch.zeros(1, 4, 8, 8)
    for timestep in scheduler.timesteps:
        sample = scheduler.step(sample, timestep, sample, return_dict=False)[0]


def test_a_folder_that_says_zero_snr_itself_is_rendered_so(
    tiny_spec: ModelSpec, zero_snr: Model, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_spec.weights, folder)
    path = folder / "scheduler/scheduler_config.json"
    said = {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
    }
    path.write_text(json.dumps({**json.loads(path.read_text()), **said}))
    spec = replace(tiny_spec, weights=folder)
    assert "heun" not in str(parameters_of(spec).model_json_schema()["properties"]["sampler"])
    wanted = job(sampler="dpm++_2m")
    latents = load(spec).denoise(wanted, 7, ignore)
    assert torch.equal(latents, zero_snr.denoise(wanted, 7, ignore))

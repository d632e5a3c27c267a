"""What holds for every flow-matching family: repeatable, stoppable, and honest about faults."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from daemon.errors import ModelError, RenderError
from daemon.families import Model, ModelSpec, Step, load
from daemon.families.flow_pipelines import dtype_for
from spool.jobs import LoraRequest
from spool.layout import Spool
from spool.states import Status
from tests.daemon.flow_pictures import FLOW_MODELS, ignore, job, render
from tests.daemon.slots import record_of, running_slot, submit

if TYPE_CHECKING:
    from PIL.Image import Image

OUTPUT_WEIGHTS = {
    "flux": "proj_out.weight",
    "chroma": "proj_out.weight",
    "zimage": "all_final_layer.2-1.linear.weight",
}
FAMILIES = ("dev", "chroma", "turbo")
each_model = pytest.mark.parametrize("name", FLOW_MODELS)
each_family = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture
def model(name: str, flow_models: dict[str, Model]) -> Model:
    return flow_models[name]


@pytest.fixture
def damaged(name: str, flow_specs: dict[str, ModelSpec], tmp_path: Path) -> ModelSpec:
    """A copy of the model, to be damaged."""
    folder = tmp_path / "damaged"
    shutil.copytree(flow_specs[name].weights, folder)
    return replace(flow_specs[name], weights=folder)


def multiply(file: Path, name: str, factor: float) -> None:
    weights = load_file(file)
    weights[name] = weights[name] * factor
    save_file(weights, file, metadata={"format": "pt"})


@each_model
def test_latents_are_those_of_the_vae_and_the_same_again_for_the_same_seed(model: Model) -> None:
    wanted = job(width=96)
    first = model.denoise(wanted, 7, ignore)
    assert first.shape == (1, 16, 8, 12)
    assert torch.equal(model.denoise(wanted, 7, ignore), first)
    assert not torch.equal(model.denoise(wanted, 8, ignore), first)
    other = wanted.model_copy(update={"prompt": "a dog"})
    assert not torch.equal(model.denoise(other, 7, ignore), first)


@each_model
@pytest.mark.parametrize("steps", [1, 4])
def test_every_step_is_reported_and_counted(model: Model, steps: int) -> None:
    seen: list[tuple[int, int]] = []
    model.denoise(job(steps=steps), 7, lambda step: seen.append((step.step, step.total)))
    assert seen == [(number, steps) for number in range(1, steps + 1)]
    assert model.total_steps(job(steps=steps)) == steps


@each_model
def test_an_exception_in_a_step_stops_the_picture_and_spoils_nothing(model: Model) -> None:
    class Cancelled(Exception):
        pass

    seen = []

    def cancel(step: Step) -> None:
        seen.append(step.step)
        if step.step == 2:
            raise Cancelled

    expected = render(model, job())
    with pytest.raises(Cancelled):
        model.denoise(job(), 7, cancel)
    assert seen == [1, 2]
    assert render(model, job()).tobytes() == expected.tobytes()


@each_model
def test_the_last_preview_is_the_projection_of_the_latents_themselves(model: Model) -> None:
    steps: list[Step] = []
    wanted = job(width=96)
    latents = model.denoise(wanted, 7, steps.append)
    previews = [step.preview() for step in steps]
    assert all(preview is not None and preview.size == (96, 64) for preview in previews)
    expected = model._projection.project(latents)  # type: ignore[attr-defined]
    assert max_difference(previews[-1], expected) <= 1
    assert max_difference(previews[0], expected) > 1


def max_difference(one: Image | None, other: Image | None) -> int:
    assert one is not None
    assert other is not None
    return max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True))


@each_model
def test_looking_at_previews_changes_nothing(model: Model) -> None:
    previews: list[Image | None] = []
    watched = model.denoise(job(), 7, lambda step: previews.append(step.preview()))
    assert torch.equal(watched, model.denoise(job(), 7, ignore))
    assert len(previews) == 3


@each_family
def test_the_configured_shift_replaces_the_schedules_own(
    name: str, model: Model, flow_specs: dict[str, ModelSpec]
) -> None:
    shifted = load(replace(flow_specs[name], shift=2.0))
    assert not torch.equal(shifted.denoise(job(), 7, ignore), model.denoise(job(), 7, ignore))
    sigmas = shifted._watched.scheduler.sigmas  # type: ignore[attr-defined]
    assert sigmas.tolist() == pytest.approx([1, 0.8, 0.5, 0], abs=1e-6)
    assert shifted.describe()["shift"] == "2.0"


@each_family
def test_what_made_the_pixels_is_told(model: Model) -> None:
    description = model.describe(job())
    assert description["family"] == model.spec.family
    assert description["scheduler"] == "FlowMatchEulerDiscreteScheduler"
    assert (description["dtype"], description["vae_dtype"]) == ("float32", "float32")
    assert "scheduler" not in model.describe()
    assert model.sampler_label(job()) == "Euler"


@each_family
def test_bfloat16_draws_nearly_the_same_picture_from_the_same_seed(
    name: str, model: Model, flow_specs: dict[str, ModelSpec]
) -> None:
    half = load(replace(flow_specs[name], dtype="bfloat16"))
    assert half.describe()["dtype"] == half.describe()["vae_dtype"] == "bfloat16"
    rounded, exact = (each.denoise(job(), 7, ignore) for each in (half, model))
    assert torch.nn.functional.mse_loss(rounded.float(), exact) < 0.01
    assert half.decode(rounded).size == (64, 64)


@each_family
def test_the_vae_runs_in_the_dtype_that_the_configuration_names(
    name: str, flow_specs: dict[str, ModelSpec]
) -> None:
    mixed = load(replace(flow_specs[name], dtype="bfloat16", vae_dtype="float32"))
    assert mixed.describe()["vae_dtype"] == "float32"
    assert render(mixed, job(steps=1)).size == (64, 64)


@each_family
def test_float16_is_refused(name: str, flow_specs: dict[str, ModelSpec]) -> None:
    family = flow_specs[name].family
    with pytest.raises(ModelError, match=f"family {family} overflows in float16.*bfloat16"):
        load(replace(flow_specs[name], dtype="float16"))


def test_only_gpus_from_ampere_on_compute_in_bfloat16() -> None:
    assert dtype_for((7, 5)) == torch.float32
    assert dtype_for((8, 0)) == dtype_for((12, 0)) == torch.bfloat16


@each_family
def test_latents_that_are_not_finite_fail_and_name_the_dtype(damaged: ModelSpec) -> None:
    file = damaged.weights / "transformer/diffusion_pytorch_model.safetensors"
    multiply(file, OUTPUT_WEIGHTS[damaged.family], float("nan"))
    previews: list[Image | None] = []
    with pytest.raises(RenderError, match="not finite in float32"):
        load(damaged).denoise(job(), 7, lambda step: previews.append(step.preview()))
    assert previews == [None] * 3


@pytest.mark.parametrize("name", ["dev"])
def test_a_picture_that_overflows_in_half_precision_is_decoded_again(damaged: ModelSpec) -> None:
    # The normalisation behind conv_in takes the factor out again, where the range holds it.
    file = damaged.weights / "vae/diffusion_pytorch_model.safetensors"
    multiply(file, "decoder.conv_in.weight", 5e4)
    multiply(file, "decoder.conv_in.bias", 0)
    half = load(replace(damaged, vae_dtype="float16"))
    latents = torch.randn(1, 16, 8, 8, generator=torch.Generator("cpu").manual_seed(0))
    assert max_difference(half.decode(latents), load(damaged).decode(latents)) <= 2
    assert half.describe()["vae_dtype"] == "float16", "the VAE did not return to its dtype"


@each_family
def test_a_job_with_loras_is_refused_rather_than_rendered_without(model: Model) -> None:
    with pytest.raises(RenderError, match="takes no LoRAs"):
        model.denoise(job(loras=(LoraRequest(id="a", weight=1.0),)), 7, ignore)


@pytest.mark.parametrize("name", ["dev"])
def test_a_schedule_with_noise_that_no_seed_decides_is_refused(damaged: ModelSpec) -> None:
    file = damaged.weights / "scheduler/scheduler_config.json"
    config = file.read_text()
    file.write_text(config.replace('"stochastic_sampling": false', '"stochastic_sampling": true'))
    with pytest.raises(ModelError, match="stochastic_sampling"):
        load(damaged)


@each_family
@pytest.mark.parametrize(
    "file",
    [
        "transformer/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_folder_without_one_of_its_files_is_a_model_error_in_one_line(
    damaged: ModelSpec, file: str
) -> None:
    (damaged.weights / file).unlink()
    with pytest.raises(ModelError) as caught:
        load(damaged)
    assert str(damaged.weights) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_slot_draws_jobs_of_every_family(
    flow_specs: dict[str, ModelSpec], tmp_path: Path
) -> None:
    spool = Spool.create(tmp_path / "spool")
    prompt = "a red cat " * 100
    with running_slot(spool, *(flow_specs[name] for name in FAMILIES)):
        ids = [submit(spool, model=name, prompt=prompt, count=2, seed=5) for name in FAMILIES]
        records = [record_of(spool, job_id) for job_id in ids]
    for record in records:
        assert record.status is Status.COMPLETED, record.error
        assert [image.seed for image in record.images] == [5, 6]
        assert len({image.sha256 for image in record.images}) == 2
        assert "tokens are more than the 512" in record.warnings[0]
        assert len(record.warnings) == 1

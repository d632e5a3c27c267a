"""SDXL: bit-equal to diffusers' own pipeline, repeatable, stoppable, and honest about faults."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from daemon.errors import ModelError, RenderError
from daemon.families import Model, ModelSpec, Step, load
from daemon.families.pipelines import make_scheduler
from daemon.families.samplers import samplers
from spool.jobs import LoraRequest, ResolvedJob
from tests.daemon.tiny_models import open_bare

if TYPE_CHECKING:
    from PIL.Image import Image

JOB = ResolvedJob(
    model="m",
    prompt="a red cat",
    negative_prompt=None,
    width=64,
    height=64,
    seed=0,
    steps=4,
    guidance_scale=5.0,
    sampler="euler",
)
RED_CIRCLE = "a red circle on a white background"


def job(**changes: Any) -> ResolvedJob:
    return JOB.model_copy(update=changes)


def ignore(_step: Step) -> None:
    pass


def render(model: Model, wanted: ResolvedJob, seed: int = 7) -> Image:
    return model.decode(model.denoise(wanted, seed, ignore))


def bare_picture(
    pipeline: Any, config: Any, wanted: ResolvedJob, seed: int = 7, **noise: str | bool
) -> Image:
    pipeline.scheduler = make_scheduler(samplers[wanted.sampler], config, **noise)
    picture: Image = pipeline(
        wanted.prompt,
        negative_prompt=wanted.negative_prompt,
        width=wanted.width,
        height=wanted.height,
        num_inference_steps=wanted.steps,
        guidance_scale=wanted.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(seed),
    ).images[0]
    return picture


@pytest.fixture(scope="module")
def bare(tiny_spec: ModelSpec) -> Any:
    return open_bare(tiny_spec.weights)


@pytest.fixture(scope="module")
def bare_config(bare: Any) -> Any:
    return bare.scheduler.config


@pytest.fixture
def damaged(tiny_spec: ModelSpec, tmp_path: Path) -> Iterator[Path]:
    """A copy of the tiny model, to be damaged."""
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_spec.weights, folder)
    yield folder
    shutil.rmtree(folder)


def multiply(file: Path, name: str, factor: float) -> None:
    weights = load_file(file)
    weights[name] = weights[name] * factor
    save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize("sampler", samplers)
def test_a_picture_equals_the_pipelines_own_bit_for_bit(
    tiny: Model, bare: Any, bare_config: Any, sampler: str
) -> None:
    wanted = job(sampler=sampler, width=72, height=96)
    assert render(tiny, wanted).tobytes() == bare_picture(bare, bare_config, wanted).tobytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"negative_prompt": ""},
        {"negative_prompt": "blurry"},
        {"guidance_scale": 1.0},
        {"guidance_scale": 0.0, "negative_prompt": "blurry"},
        {"prompt": ""},
        {"prompt": "red cat " * 37, "negative_prompt": "red cat, " * 25},
    ],
)
def test_prompts_are_encoded_as_the_pipeline_does(
    tiny: Model, bare: Any, bare_config: Any, changes: dict[str, Any]
) -> None:
    wanted = job(**changes)
    expected = bare_picture(bare, bare_config, wanted).tobytes()
    assert render(tiny, wanted).tobytes() == expected
    assert render(tiny, wanted).tobytes() == expected, "remembered embeddings differ"


def test_the_embedded_model_equals_its_pipeline_bit_for_bit(embedded: Model) -> None:
    pipeline = open_bare(embedded.spec.weights, variant="fp16")
    wanted = job(prompt=RED_CIRCLE, sampler="euler_a")
    expected = bare_picture(pipeline, pipeline.scheduler.config, wanted)
    assert render(embedded, wanted).tobytes() == expected.tobytes()


def test_no_negative_prompt_is_not_the_empty_one(tiny: Model) -> None:
    absent = tiny.denoise(job(), 7, ignore)
    assert not torch.equal(absent, tiny.denoise(job(negative_prompt=""), 7, ignore))


@pytest.mark.parametrize("sampler", samplers)
def test_a_job_gives_the_same_latents_again_and_another_seed_gives_others(
    tiny: Model, sampler: str
) -> None:
    first = tiny.denoise(job(sampler=sampler), 7, ignore)
    assert torch.equal(tiny.denoise(job(sampler=sampler), 7, ignore), first)
    assert not torch.equal(tiny.denoise(job(sampler=sampler), 8, ignore), first)


def test_the_largest_seed_is_taken(tiny: Model) -> None:
    assert render(tiny, job(steps=1), seed=2**53 - 1).size == (64, 64)


@pytest.mark.parametrize("sampler", samplers)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_every_step_is_reported_and_counted_as_the_scheduler_does(
    tiny: Model, sampler: str, steps: int
) -> None:
    wanted = job(sampler=sampler, steps=steps)
    seen: list[tuple[int, int]] = []
    tiny.denoise(wanted, 7, lambda step: seen.append((step.step, step.total)))
    total = tiny.total_steps(wanted)
    assert seen == [(number, total) for number in range(1, total + 1)]
    assert total == (2 * steps - 1 if sampler == "heun" else steps)


@pytest.mark.parametrize("sampler", samplers)
def test_the_embedded_model_trained_on_other_timesteps_takes_every_sampler(
    embedded: Model, sampler: str
) -> None:
    for steps in (1, 3):
        assert render(embedded, job(sampler=sampler, steps=steps)).size == (64, 64)


@pytest.mark.parametrize("sampler", samplers)
def test_an_exception_in_a_step_stops_the_picture_and_spoils_nothing(
    tiny: Model, sampler: str
) -> None:
    class Cancelled(Exception):
        pass

    seen = []

    def cancel(step: Step) -> None:
        seen.append(step.step)
        if step.step == 2:
            raise Cancelled

    expected = tiny.denoise(job(sampler=sampler), 7, ignore)
    with pytest.raises(Cancelled):
        tiny.denoise(job(sampler=sampler), 7, cancel)
    assert seen == [1, 2]
    assert torch.equal(tiny.denoise(job(sampler=sampler), 7, ignore), expected)


def test_looking_at_previews_changes_nothing(tiny: Model) -> None:
    expected = tiny.denoise(job(sampler="euler_a"), 7, ignore)
    previews: list[Image | None] = []
    watched = tiny.denoise(job(sampler="euler_a"), 7, lambda step: previews.append(step.preview()))
    assert torch.equal(watched, expected)
    assert None not in previews


@pytest.mark.parametrize("sampler", samplers)
def test_the_last_step_predicts_the_picture_itself(embedded: Model, sampler: str) -> None:
    previews: list[Image | None] = []
    wanted = job(prompt=RED_CIRCLE, sampler=sampler)
    picture = embedded.decode(
        embedded.denoise(wanted, 7, lambda step: previews.append(step.preview()))
    )
    assert previews[-1] is not None
    shrunk = [image.resize((8, 8)).tobytes() for image in (previews[-1], picture)]
    error = sum(abs(a - b) for a, b in zip(*shrunk, strict=True)) / len(shrunk[0])
    assert error < 30, f"mean difference of {error:.1f} levels"


def test_the_embedded_model_shows_what_the_prompt_says_and_previews_it(embedded: Model) -> None:
    steps: list[Step] = []
    wanted = job(prompt=RED_CIRCLE, width=256, height=256, steps=20)
    picture = embedded.decode(embedded.denoise(wanted, 1, steps.append))

    red, green, blue = mean_colour(picture, (108, 108, 148, 148))
    assert red > 150
    assert max(green, blue) < 100
    assert min(mean_colour(picture, (0, 0, 256, 16))) > 180

    preview = steps[9].preview()
    assert preview is not None
    assert preview.size == (256, 256)
    red, green, blue = mean_colour(preview, (108, 108, 148, 148))
    assert red > max(green, blue) + 60


def mean_colour(image: Image, box: tuple[int, int, int, int]) -> list[float]:
    pixels = image.crop(box).tobytes()
    return [sum(pixels[channel::3]) / len(pixels[channel::3]) for channel in range(3)]


def test_what_made_the_pixels_is_told(tiny: Model) -> None:
    description = tiny.describe(job(sampler="ddim"))
    assert description["scheduler"] == "DDIMScheduler"
    assert description["device"] == "cpu"
    assert (description["dtype"], description["vae_dtype"]) == ("float32", "float32")
    assert description["torch"] == torch.__version__
    assert "scheduler" not in tiny.describe()
    assert tiny.sampler_label(job(sampler="dpm++_2m_karras")) == "DPM++ 2M Karras"


def test_every_sampler_keeps_what_the_model_was_trained_with(embedded: Model) -> None:
    config = open_bare(embedded.spec.weights, variant="fp16").scheduler.config
    for sampler in samplers.values():
        own = make_scheduler(sampler, config).config
        assert own["prediction_type"] == "v_prediction"
        assert own["timestep_spacing"] == "trailing"
        assert own["beta_end"] == 0.02
        assert not own.get("clip_sample", False)


def test_a_job_with_loras_is_refused_rather_than_rendered_without(tiny: Model) -> None:
    with pytest.raises(RenderError, match="takes no LoRAs"):
        tiny.denoise(job(loras=(LoraRequest(id="a", weight=1.0),)), 7, ignore)


def test_latents_that_are_not_finite_fail_and_name_the_dtype(
    damaged: Path, tiny_spec: ModelSpec
) -> None:
    file = damaged / "unet/diffusion_pytorch_model.safetensors"
    multiply(file, "conv_out.weight", float("inf"))
    model = load(replace(tiny_spec, weights=damaged))
    previews: list[Image | None] = []
    with pytest.raises(RenderError, match="not finite in float32"):
        model.denoise(job(), 7, lambda step: previews.append(step.preview()))
    assert previews == [None] * 4


def test_a_picture_that_overflows_in_half_precision_is_decoded_again(
    damaged: Path, tiny_spec: ModelSpec
) -> None:
    # The normalisation behind conv_in takes the factor out again, where the range holds it.
    file = damaged / "vae/diffusion_pytorch_model.safetensors"
    multiply(file, "decoder.conv_in.weight", 5e4)
    multiply(file, "decoder.conv_in.bias", 0)
    half = load(replace(tiny_spec, weights=damaged, dtype="float16"))
    full = load(replace(tiny_spec, weights=damaged))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator("cpu").manual_seed(0))
    colours = [mean_colour(model.decode(latents), (0, 0, 64, 64)) for model in (half, full)]
    assert colours[0] == pytest.approx(colours[1], abs=1)
    assert half.describe()["vae_dtype"] == "float16", "the VAE did not return to its dtype"


def test_a_picture_that_is_never_finite_fails(damaged: Path, tiny_spec: ModelSpec) -> None:
    file = damaged / "vae/diffusion_pytorch_model.safetensors"
    multiply(file, "decoder.conv_out.weight", float("nan"))
    model = load(replace(tiny_spec, weights=damaged))
    with pytest.raises(RenderError, match="not finite, even in float32"):
        render(model, job(steps=1))


@pytest.mark.parametrize(
    "file",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer_2/tokenizer.json",
        "text_encoder_2/config.json",
        "scheduler/scheduler_config.json",
    ],
)
@pytest.mark.parametrize("missing", [True, False], ids=["missing", "cut short"])
def test_a_damaged_folder_is_a_model_error_in_one_line(
    damaged: Path, tiny_spec: ModelSpec, file: str, *, missing: bool
) -> None:
    if missing:
        (damaged / file).unlink()
    else:
        (damaged / file).write_bytes((damaged / file).read_bytes()[:100])
    with pytest.raises(ModelError) as caught:
        load(replace(tiny_spec, weights=damaged))
    assert str(damaged) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_here_is_a_model_error(tiny_spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="device cuda:99 is not here"):
        load(replace(tiny_spec, device="cuda:99"))


@pytest.mark.parametrize("wrong", [{"device": "gpu"}, {"dtype": "float8"}])
def test_an_unknown_device_or_dtype_is_named(tiny_spec: ModelSpec, wrong: dict[str, str]) -> None:
    (value,) = wrong.values()
    with pytest.raises(ModelError, match=f"is named '{value}'; say "):
        load(replace(tiny_spec, **wrong))  # type: ignore[arg-type]

"""The memory profiles with diffusers' real hooks, which compute on the CPU as they do on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from daemon.families import Model, ModelSpec, Step, load
from daemon.families.offloading import components
from daemon.families.profiles import Experience, Profile
from daemon.loras import LoraFolder
from daemon.warm import resident_bytes
from spool.jobs import LoraRequest
from spool.layout import Spool
from spool.live import read_events
from spool.states import Status
from tests.daemon import tiny_loras
from tests.daemon.flow_pictures import job as flow_job
from tests.daemon.slots import record_of, running_slot, submit
from tests.daemon.test_sdxl import ignore, job, render
from tests.daemon.tiny_loras import draw_lora, save_lora
from tests.daemon.tiny_models import open_bare
from tests.models.gguf_files import save_transformer_gguf
from tests.models.original_files import save_transformer
from tests.models.shelf import Shelf

OFFLOADED = (Profile.BALANCED, Profile.LOW)
each_profile = pytest.mark.parametrize("profile", OFFLOADED)


def pipeline_of(model: Model) -> Any:
    return model._pipeline  # type: ignore[attr-defined]


def hooks_of(model: Model) -> list[str]:
    """Every trace of offloading in the model's modules."""
    found = []
    for name, part in components(pipeline_of(model)).items():
        for path, module in part.named_modules():
            if hasattr(module, "_hf_hook"):
                found.append(f"{name}.{path}: {type(module._hf_hook).__name__}")
            registry = getattr(module, "_diffusers_hook", None)
            found += [f"{name}.{path}: {hook}" for hook in registry.hooks] if registry else []
    return found


@contextmanager
def scarce(model: Model, failures: int) -> Iterator[list[str | None]]:
    """The network that denoises runs out of memory in its second pass, so many times."""
    pipeline = pipeline_of(model)
    network = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    seen: list[str | None] = []
    passes = [0]

    def count(*_: object) -> None:
        passes[0] += 1
        if passes[0] == 2 and len(seen) < failures:
            passes[0] = 0
            seen.append(model.describe(job())["memory"]["profile"])
            raise torch.OutOfMemoryError("tried to allocate 20 GiB. GPU 0 has none. See the manual")

    handle = network.register_forward_pre_hook(count)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(params=["sdxl", "dev", "chroma", "turbo"])
def spec(
    request: pytest.FixtureRequest, tiny_spec: ModelSpec, flow_specs: dict[str, ModelSpec]
) -> ModelSpec:
    return tiny_spec if request.param == "sdxl" else flow_specs[request.param]


def wanted_of(spec: ModelSpec) -> Any:
    return job() if spec.family == "sdxl" else flow_job()


def test_every_profile_draws_the_same_picture_and_leaves_no_hook_behind(spec: ModelSpec) -> None:
    wanted = wanted_of(spec)
    expected = render(load(spec), wanted).tobytes()
    for profile in OFFLOADED:
        model = load(replace(spec, vram=profile.value))
        assert not hooks_of(model)
        assert render(model, wanted).tobytes() == expected
        assert model.describe(wanted)["memory"] == {"profile": profile}
        kinds = {hook.partition(": ")[2] for hook in hooks_of(model)}
        assert kinds == {"CpuOffload" if profile is Profile.BALANCED else "group_offloading"}
        again = wanted.model_copy(update={"prompt": "a dog"})
        assert render(model, again).tobytes() != expected
        assert render(model, wanted).tobytes() == expected
        model.park()
        assert not hooks_of(model)


@pytest.mark.parametrize("precision", ["fp8", "gguf"])
def test_weights_of_eight_bits_stay_so_under_every_profile(
    shelf: Shelf, tmp_path: Path, precision: str
) -> None:
    if precision == "gguf":
        pytest.importorskip("gguf")
        weights = save_transformer_gguf(shelf.flux_dev, tmp_path / "flux.gguf")
    else:
        weights = save_transformer(shelf.flux_dev, tmp_path / "flux.safetensors", precision="fp8")
    companions = ("config", "tokenizer", "vae", "text_encoder", "text_encoder_2")
    named: dict[str, Any] = dict.fromkeys(companions, shelf.flux_dev)
    spec = ModelSpec("flux", "flux", weights, device="cpu", **named)
    full = load(spec)
    expected = render(full, flow_job()).tobytes()
    size_bytes = resident_bytes([full])
    for profile in (*OFFLOADED, Profile.FULL):
        residency: Any = full._residency  # type: ignore[attr-defined]
        residency._wanted = profile
        for _ in range(2):
            assert render(full, flow_job()).tobytes() == expected
        assert resident_bytes([full]) == size_bytes


def test_profiles_follow_one_another_without_piling_up(tiny_spec: ModelSpec) -> None:
    model = load(tiny_spec)
    expected = render(model, job()).tobytes()
    residency: Any = model._residency  # type: ignore[attr-defined]
    counts: dict[Profile, int] = {}
    for profile in (*OFFLOADED, Profile.FULL, *reversed(OFFLOADED), *OFFLOADED):
        residency._wanted = profile
        assert render(model, job()).tobytes() == expected
        assert counts.setdefault(profile, len(hooks_of(model))) == len(hooks_of(model))
    assert counts[Profile.FULL] == 0


@each_profile
def test_a_picture_that_is_cancelled_spoils_nothing(spec: ModelSpec, profile: Profile) -> None:
    class Cancelled(Exception):
        pass

    def cancel(step: Step) -> None:
        if step.step == 2:
            raise Cancelled

    wanted = wanted_of(spec)
    model = load(replace(spec, vram=profile.value))
    expected = render(model, wanted).tobytes()
    with pytest.raises(Cancelled):
        model.denoise(wanted, 7, cancel)
    assert render(model, wanted).tobytes() == expected


@each_profile
def test_loras_come_and_go_under_every_profile(
    tiny_spec: ModelSpec, tmp_path: Path, profile: Profile
) -> None:
    bare = open_bare(tiny_spec.weights)
    for seed in range(2):
        path = tmp_path / "loras" / f"{seed}.safetensors"
        save_lora(path, tiny_loras.kohya(draw_lora(bare, seed)))
    spec = replace(tiny_spec, loras=tmp_path / "loras")
    assert len(LoraFolder(spec.loras, "sdxl").available()) == 2
    wanted = [job(), *(job(loras=(LoraRequest(id=str(seed)),)) for seed in range(2)), job()]
    full = load(spec)
    expected = [render(full, each).tobytes() for each in wanted]
    offloaded = load(replace(spec, vram=profile.value))
    assert [render(offloaded, each).tobytes() for each in wanted] == expected
    assert expected[0] == expected[-1] != expected[1]


@pytest.mark.parametrize(("failures", "profile"), [(1, "balanced"), (2, "low")])
def test_out_of_memory_takes_the_ladder_and_the_size_is_remembered(
    spec: ModelSpec, failures: int, profile: str
) -> None:
    wanted = wanted_of(spec)
    experience = Experience()
    model = load(spec, experience)
    expected = render(model, wanted).tobytes()
    with scarce(model, failures) as seen:
        assert render(model, wanted).tobytes() == expected
    assert seen == ["full", "balanced"][:failures]
    told = {"profile": profile, "ran_out": seen}
    assert model.describe(wanted)["memory"] == told
    smaller = wanted.model_copy(update={"width": 32 if spec.family == "sdxl" else 80})
    render(model, smaller)
    assert model.describe(smaller)["memory"] == {"profile": "full"}
    render(model, wanted)
    assert model.describe(wanted)["memory"] == told
    reloaded = load(spec, experience)
    assert render(reloaded, wanted).tobytes() == expected
    assert reloaded.describe(wanted)["memory"] == told


def test_below_the_last_rung_the_error_gets_out_and_the_model_stays_whole(
    tiny_spec: ModelSpec,
) -> None:
    model = load(tiny_spec)
    expected = render(model, job()).tobytes()
    with scarce(model, 3) as seen, pytest.raises(torch.OutOfMemoryError, match="20 GiB"):
        model.denoise(job(), 7, ignore)
    assert seen == ["full", "balanced", "low"]
    assert render(model, job()).tobytes() == expected


def test_a_model_that_does_not_fit_when_it_wakes_takes_the_ladder_too(
    tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny_spec)
    unet = pipeline_of(model).unet

    def crowded(*_: object) -> NoReturn:
        raise torch.OutOfMemoryError("tried to allocate 5 GiB")

    with monkeypatch.context() as patch:
        residency: Any = model._residency  # type: ignore[attr-defined]
        place = residency.place
        patch.setattr(
            residency,
            "place",
            lambda profile: crowded() if profile is Profile.FULL else place(profile),
        )
        model.wake()
    assert residency.profile is Profile.BALANCED
    assert unet._hf_hook


def test_a_record_says_what_the_ladder_did_and_that_pixels_may_differ(
    tmp_path: Path, tiny_spec: ModelSpec
) -> None:
    spool = Spool.create(tmp_path / "spool")
    with running_slot(spool, tiny_spec) as running:
        plain = record_of(spool, submit(spool))
        with scarce(running.models.load("tiny"), 1):
            record = record_of(spool, submit(spool, count=2))
    assert plain.render["memory"] == {"profile": "full"}
    assert plain.warnings == ()
    assert record.status is Status.COMPLETED
    assert record.render["memory"] == {"profile": "balanced", "ran_out": ["full"]}
    # The first picture ran out of memory in its second step, and was begun again.
    events = [event.data for event in read_events(spool.events(record.job_id))]
    assert [event["step"] for event in events] == [0, 1, 1, 2, 3, 4, 5, 6, 6]
    assert {event["total_steps"] for event in events} == {6}
    (warning,) = record.warnings
    assert warning.startswith("memory: profile full ran out of memory at 64x64 px")
    assert "pixels" in warning

"""What only a GPU can show of the memory profiles: where weights lie, and a real shortage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from daemon.families import ModelSpec, load
from daemon.families.offloading import VAE, components
from daemon.families.profiles import Profile
from daemon.models import Models
from tests.daemon.flow_pictures import job as flow_job
from tests.daemon.flow_pictures import render
from tests.daemon.test_residency import hooks_of, pipeline_of
from tests.daemon.test_sdxl import job

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU that torch can use"
)


@pytest.fixture(params=["sdxl", "dev", "chroma", "turbo"])
def spec(
    request: pytest.FixtureRequest, tiny_spec: ModelSpec, flow_specs: dict[str, ModelSpec]
) -> ModelSpec:
    found = tiny_spec if request.param == "sdxl" else flow_specs[request.param]
    return replace(found, device="cuda", dtype="float32")


def wanted_of(spec: ModelSpec) -> Any:
    return job() if spec.family == "sdxl" else flow_job()


def places(model: Any) -> dict[str, set[str]]:
    parts = components(pipeline_of(model)).items()
    return {name: {p.device.type for p in part.parameters()} for name, part in parts}


@pytest.mark.parametrize("profile", [Profile.BALANCED, Profile.LOW])
def test_an_offloaded_model_draws_the_full_ones_picture_and_rests_on_the_host(
    spec: ModelSpec, profile: Profile
) -> None:
    wanted = wanted_of(spec)
    full = load(replace(spec, vram="full"))
    expected = render(full, wanted).tobytes()
    assert set.union(*places(full).values()) == {"cuda"}
    full.park()
    assert set.union(*places(full).values()) == {"cpu"}
    assert render(full, wanted).tobytes() == expected
    full.park()
    model = load(replace(spec, vram=profile.value))
    for _ in range(2):
        assert render(model, wanted).tobytes() == expected
        assert places(model)[VAE] == {"cpu"}
        if profile is Profile.BALANCED:
            assert set.union(*places(model).values()) == {"cpu"}
    model.park()
    assert not hooks_of(model)
    assert set.union(*places(model).values()) == {"cpu"}


def test_a_model_that_waits_holds_nothing_of_the_gpu(
    tiny_spec: ModelSpec, flow_specs: dict[str, ModelSpec]
) -> None:
    specs = [replace(each, device="cuda") for each in (tiny_spec, flow_specs["chroma"])]
    models = Models(specs)
    first = models.load(specs[0].name)
    render(first, job())
    models.load(specs[1].name)
    assert set.union(*places(first).values()) == {"cpu"}
    held = torch.cuda.memory_allocated()
    for _ in range(5):
        for spec in specs:
            models.load(spec.name)
    assert torch.cuda.memory_allocated() <= held * 1.05


def test_a_real_shortage_takes_the_ladder(tiny_spec: ModelSpec) -> None:
    """The allocator may have no more than the weights take, hence no room for a large picture."""
    model = load(replace(tiny_spec, device="cuda", vram="full"))
    wanted = job(width=1024, height=1024, steps=1)
    render(model, job())
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            model.denoise(wanted, 7, lambda _: None)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert model.describe(wanted)["memory"]["ran_out"] == ["full", "balanced"]
    assert render(model, wanted).size == (1024, 1024)
    assert model.describe(wanted)["memory"]["profile"] == Profile.LOW


def test_auto_takes_full_where_there_is_room(spec: ModelSpec) -> None:
    model = load(spec)
    model.wake()
    assert render(model, wanted_of(spec)).size == (64, 64)
    assert model.describe(wanted_of(spec))["memory"] == {"profile": "full"}

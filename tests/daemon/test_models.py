"""The models of a slot: warm within the budget, dropped beyond it, each in a state that is told."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.errors import ModelError
from daemon.families import Model, ModelSpec
from daemon.heartbeat import Heartbeat
from daemon.models import Models
from daemon.warm import resident_bytes
from daemon.weights.sizes import expected_bytes
from spool.catalogue import ModelState, SlotState, read_reports
from spool.layout import Spool
from spool.states import Status
from tests.daemon.flow_pictures import render as render_flow
from tests.daemon.slots import record_of, running_slot, submit
from tests.daemon.test_sdxl import job, render
from tests.models import save_tiny_sdxl_real
from tests.models.original_files import save_sdxl_checkpoint

COLD, WARM, LOADED, ERROR = ModelState


@pytest.fixture
def specs(
    tiny_spec: ModelSpec, flow_specs: dict[str, ModelSpec], tmp_path: Path
) -> list[ModelSpec]:
    """Three models whose folders may be taken away."""
    moved = []
    for spec in (tiny_spec, flow_specs["chroma"], flow_specs["turbo"]):
        folder = tmp_path / spec.name
        shutil.copytree(spec.weights, folder)
        moved.append(replace(spec, weights=folder))
    return moved


def states(models: Models) -> dict[str, ModelState]:
    return {entry.name: entry.state for entry in models.entries}


def picture(model: Model) -> bytes:
    render_of = render if model.spec.family == "sdxl" else render_flow
    return render_of(model, job()).tobytes()


def test_models_within_the_budget_are_never_read_from_the_disk_again(
    specs: list[ModelSpec],
) -> None:
    models = Models(specs)
    names = [spec.name for spec in specs]
    assert set(states(models).values()) == {COLD}
    first = [picture(models.load(name)) for name in names]
    assert list(states(models).values()) == [WARM, WARM, LOADED]
    for spec in specs:
        for file in spec.weights.rglob("*.safetensors"):
            file.unlink()
    for _ in range(2):
        assert [picture(models.load(name)) for name in names] == first


def test_a_model_in_one_file_renders_on_when_its_file_is_gone(
    specs: list[ModelSpec], tmp_path: Path
) -> None:
    folder = save_tiny_sdxl_real(tmp_path / "real")
    file = save_sdxl_checkpoint(folder, tmp_path / "sdxl.safetensors", precision="float32")
    alone = ModelSpec("file", "sdxl", file, device="cpu", config=folder)
    models = Models([alone, specs[1]])
    first = picture(models.load("file"))
    file.unlink()
    assert picture(models.load("file")) == first
    models.load(specs[1].name)
    assert picture(models.load("file")) == first


def test_beyond_the_budget_the_one_used_longest_ago_is_dropped_and_said(
    specs: list[ModelSpec], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one, two, three = (spec.name for spec in specs)
    measured = Models(specs)
    sizes = {name: resident_bytes([measured.load(name)]) for name in (one, two, three)}
    models = Models(specs, host_bytes=sum(sizes.values()) - 1)
    for name in (one, two, one):
        models.load(name)
    assert states(models) == {one: LOADED, two: WARM, three: COLD}
    models.load(three)
    assert states(models) == {one: WARM, two: COLD, three: LOADED}
    assert f"model {two} dropped" in caplog.text
    assert f"model {one} loaded from the host's memory after {two} in " in caplog.text


def test_a_budget_of_nothing_keeps_the_model_that_renders(specs: list[ModelSpec]) -> None:
    models = Models(specs, host_bytes=0)
    for spec in (*specs, *specs):
        models.load(spec.name)
        expected = {each.name: LOADED if each is spec else COLD for each in specs}
        assert states(models) == expected


def test_the_size_of_a_model_is_known_before_it_is_loaded(specs: list[ModelSpec]) -> None:
    models = Models(specs)
    for spec in specs:
        actual = resident_bytes([models.load(spec.name)])
        assert 0.9 * actual <= expected_bytes(spec, 4) <= 1.1 * actual


def test_a_model_that_cannot_be_loaded_fails_its_jobs_alone_until_it_is_mended(
    specs: list[ModelSpec], tmp_path: Path
) -> None:
    spool = Spool.create(tmp_path / "spool")
    sound, broken, _ = specs
    vae = broken.weights / "vae" / "diffusion_pytorch_model.safetensors"
    whole = vae.read_bytes()
    vae.write_bytes(whole[:1000])
    with running_slot(spool, *specs) as running:
        failed = [record_of(spool, submit(spool, model=broken.name)) for _ in range(2)]
        assert record_of(spool, submit(spool, model=sound.name)).status is Status.COMPLETED
        assert states(running.models) == {sound.name: LOADED, broken.name: ERROR, "turbo": COLD}
        entry = running.models.entries[1]
        vae.write_bytes(whole)
        mended = record_of(spool, submit(spool, model=broken.name))
        assert states(running.models)[broken.name] is LOADED
    assert mended.status is Status.COMPLETED
    assert entry.error is not None
    assert "\n" not in entry.error
    assert str(vae) in entry.error
    for record in failed:
        assert record.status is Status.FAILED
        assert record.error is not None
        assert record.error["detail"] == entry.error


def test_what_cannot_be_loaded_is_not_tried_again_as_it_is(
    specs: list[ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    (specs[0].weights / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    models = Models(specs)
    with pytest.raises(ModelError) as first:
        models.load(specs[0].name)
    monkeypatch.setattr("daemon.models.load", None)  # it would be called
    with pytest.raises(ModelError) as second:
        models.load(specs[0].name)
    assert str(first.value) == str(second.value)


def test_a_slot_whose_default_cannot_be_loaded_begins_with_another(
    specs: list[ModelSpec],
) -> None:
    (specs[0].weights / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    models = Models([replace(specs[0], default=True), *specs[1:]])
    assert models.load_first().spec.name == specs[1].name
    assert list(states(models).values()) == [ERROR, LOADED, COLD]


def test_the_slots_report_tells_the_states_and_none_is_loaded_once_it_stopped(
    specs: list[ModelSpec], tmp_path: Path
) -> None:
    spool = Spool.create(tmp_path / "spool")
    models = Models(specs)
    for spec in specs[:2]:
        models.load(spec.name)
    heartbeat = Heartbeat(spool, "0", models, "cpu")
    heartbeat.say(SlotState.IDLE)
    [report] = read_reports(spool)
    assert [model.state for model in report.models] == [WARM, LOADED, COLD]
    heartbeat.say(SlotState.STOPPED)
    [report] = read_reports(spool)
    assert [model.state for model in report.models] == [COLD, COLD, COLD]


def test_a_model_that_cannot_be_described_is_told_beside_the_others(
    specs: list[ModelSpec], tmp_path: Path
) -> None:
    spool = Spool.create(tmp_path / "spool")
    shutil.rmtree(specs[0].weights)
    Heartbeat(spool, "0", Models(specs), "cpu").say(SlotState.IDLE)
    [report] = read_reports(spool)
    assert [model.name for model in report.models] == [spec.name for spec in specs[1:]]
    [unusable] = report.unusable
    assert (unusable["name"], unusable["family"]) == ("tiny", "sdxl")
    assert f"{specs[0].weights} does not exist" in unusable["error"]

"""Jobs with LoRAs in a running slot: what is applied, recorded and offered."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import open as open_image

from daemon.families import ModelSpec
from daemon.models import Models
from spool.gallery import PictureName
from spool.layout import Spool
from spool.problems import Problem
from spool.states import Status
from tests.daemon import tiny_loras
from tests.daemon.slots import record_of, running_slot, submit
from tests.daemon.tiny_loras import draw_lora, save_lora
from tests.daemon.tiny_models import open_bare


@pytest.fixture(scope="module")
def bare(tiny_spec: ModelSpec) -> Any:
    """The tiny pipeline, to draw LoRAs for; it never gets one."""
    return open_bare(tiny_spec.weights)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def test_a_job_s_record_and_picture_name_what_was_applied(
    tiny_spec: ModelSpec, bare: Any, spool: Spool, tmp_path: Path
) -> None:
    lora = draw_lora(bare, 1)
    tensors = tiny_loras.kohya(lora)
    path = save_lora(
        tmp_path / "loras" / "ink.safetensors",
        tensors,
        {"modelspec.trigger_phrase": "ink (wash)"},
    )
    spec = replace(tiny_spec, loras=tmp_path / "loras")
    with running_slot(spool, spec):
        wanted = {"id": "ink", "weight": 0.8, "trigger_weight": 0.4}
        record = record_of(spool, submit(spool, prompt="a cat", loras=[wanted]))
        plain = record_of(spool, submit(spool, prompt="a cat"))
        with pytest.raises(Problem) as refused:
            submit(spool, loras=[{"id": "nosuch"}])
    assert refused.value.as_json()["errors"][0]["pointer"] == "#/loras/0/id"

    assert record.status is Status.COMPLETED
    assert record.job is not None
    assert record.job["prompt"] == "a cat"
    prompt = r"a cat, (ink \(wash\):0.4)"
    assert record.render["effective_prompt"] == prompt
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (applied,) = record.render["loras"]
    assert applied["modules"] == {"unet": 32, "text_encoder": 8, "text_encoder_2": 8}
    assert (applied["id"], applied["weight"], applied["sha256"]) == ("ink", 0.8, digest)
    assert "effective_prompt" not in plain.render

    name = PictureName.parse(record.images[0].filename)
    assert name is not None
    with open_image(name.picture(spool)) as image:
        text = image.info["parameters"]
    assert text.startswith(prompt + "\n")
    assert f'Lora hashes: "ink: {applied["a1111_hash"]}", Version: ' in text


def test_a_lora_dropped_in_while_the_daemon_runs_is_offered(
    tiny_spec: ModelSpec, bare: Any, spool: Spool, tmp_path: Path
) -> None:
    spec = replace(tiny_spec, loras=tmp_path / "loras")
    models = Models([spec])
    assert models.entries[0].available_loras == ()
    save_lora(tmp_path / "loras" / "new.safetensors", tiny_loras.kohya(draw_lora(bare, 1)))
    models.refresh()
    offered = list(models.catalogue.models["tiny"].available_loras)
    assert tuple(offered) == models.entries[0].available_loras
    assert offered[0] == {
        "id": "new",
        "name": "new",
        "trigger_words": [],
        "weight": 1.0,
        "trigger_weight": 0.5,
    }


def test_a_lora_that_is_gone_when_its_job_comes_fails_the_job_alone(
    tiny_spec: ModelSpec, bare: Any, spool: Spool, tmp_path: Path
) -> None:
    spec = replace(tiny_spec, loras=tmp_path / "loras")
    path = save_lora(tmp_path / "loras" / "ink.safetensors", tiny_loras.kohya(draw_lora(bare, 1)))
    with running_slot(spool, spec):
        pass  # publishes the catalogue
    job_id = submit(spool, loras=[{"id": "ink"}])
    path.unlink()
    with running_slot(spool, spec) as running:
        record = record_of(spool, job_id)
        assert record_of(spool, submit(spool)).status is Status.COMPLETED
        assert running.error is None
    assert record.status is Status.FAILED
    assert record.error is not None
    assert "the LoRA 'ink' is no longer in" in record.error["detail"]

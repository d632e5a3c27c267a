"""`genzo models`, `models check` and `models add`."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

from spool.catalogue import ModelState, publish_report
from spool.layout import Spool
from spool.settings import load
from tests.models import original_files as original
from tests.models import save_tiny_flux_dev, save_tiny_sdxl_real
from tests.spool.processes import ROOT, genzo
from tests.spool.samples import MODEL, report


def test_the_models_that_slots_serve_are_listed_with_their_loras(spool: Spool) -> None:
    refused = {"file": "old/pony.safetensors", "reason": "it is LoHa, which is not supported"}
    model = replace(MODEL, refused_loras=(refused,))
    publish_report(spool, report("gpu0", model))
    done = genzo("models", "--spool", spool.root)
    assert done.returncode == 0
    assert "tiny  sdxl  slot gpu0 (idle)" in done.stdout
    assert "128x128 px, steps 20" in done.stdout
    assert "LoRA ink  Ink  (ink)" in done.stdout
    [entry] = json.loads(genzo("models", "--json", "--spool", spool.root).stdout)["gpu0"]
    assert (entry["name"], entry["defaults"]["steps"]) == ("tiny", 20)
    assert "not a LoRA of it: old/pony.safetensors: it is LoHa, which is not" in done.stdout
    assert entry["refused_loras"] == [refused]
    assert [lora["id"] for lora in entry["loras"]] == ["ink"]


def test_each_model_is_listed_with_its_state(spool: Spool) -> None:
    warm = dataclasses.replace(MODEL, state=ModelState.WARM)
    broken = dataclasses.replace(
        MODEL, name="broken", state=ModelState.ERROR, error="model broken: is cut short"
    )
    unusable = {"name": "gone", "family": "flux", "error": "model gone: /x does not exist"}
    told = dataclasses.replace(report("gpu0", warm, broken), unusable=(unusable,))
    publish_report(spool, told)
    lines = genzo("models", "--spool", spool.root).stdout.splitlines()
    assert lines[lines.index("tiny  sdxl  slot gpu0 (idle)") + 1] == "    warm"
    assert lines[lines.index("broken  sdxl  slot gpu0 (idle)") + 1] == f"    {broken.error}"
    assert lines[-2:] == ["gone  flux  slot gpu0: cannot be used", f"    {unusable['error']}"]
    listed = json.loads(genzo("models", "--json", "--spool", spool.root).stdout)["gpu0"]
    assert [(each["state"], each["error"]) for each in listed] == [
        ("warm", None),
        ("error", broken.error),
    ]


def test_a_spool_without_daemons_says_what_to_do(spool: Spool) -> None:
    done = genzo("models", "--spool", spool.root)
    assert (done.returncode, done.stdout) == (0, "")
    assert "genzod" in done.stderr


def test_a_checkpoint_is_told_from_its_header_and_added(tmp_path: Path) -> None:
    folder = save_tiny_sdxl_real(tmp_path / "folder")
    file = original.save_sdxl_checkpoint(
        folder, tmp_path / "My Model v2.safetensors", v_pred=True, ztsnr=True
    )
    done = _models("check", file)
    assert done.returncode == 0, done.stderr
    assert f"{file}: sdxl; holds network, vae, clip_l, clip_g" in done.stdout
    assert "v-prediction" in done.stdout
    config = tmp_path / "genzo.toml"
    config.write_text('spool = "/srv/spool"\n')
    done = genzo("models", "--config", config, "add", file, cwd=tmp_path, env=_environment())
    assert done.returncode == 0, done.stderr
    loaded = load(config, {})
    assert [(m.name, m.family, m.weights) for m in loaded.model] == [("my-model-v2", "sdxl", file)]
    again = genzo("models", "add", file, "--config", config, cwd=tmp_path, env=_environment())
    assert again.returncode == 1
    assert "has a model 'my-model-v2' already" in again.stderr


def test_what_a_transformer_alone_lacks_is_named(tmp_path: Path) -> None:
    folder = save_tiny_flux_dev(tmp_path / "folder")
    file = original.save_transformer(folder, tmp_path / "flux.safetensors")
    done = _models("check", file)
    assert done.returncode == 1
    assert "dev" in done.stdout
    for key in ("vae", "text_encoder", "text_encoder_2", "tokenizer"):
        assert f"`{key}`" in done.stdout


def test_what_is_no_model_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_text("<html>")
    done = _models("check", file)
    assert done.returncode == 1
    assert done.stderr.startswith("genzo: ")
    assert len(done.stderr.splitlines()) == 1
    assert str(file) in done.stderr


def _models(*arguments: object) -> subprocess.CompletedProcess[str]:
    return genzo("models", *arguments)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}

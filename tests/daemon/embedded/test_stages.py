from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from daemon.embedded.recipe import stages
from daemon.embedded.recipe.assembling import assemble
from daemon.embedded.recipe.network import open_network
from daemon.embedded.recipe.previews import write_previews
from daemon.embedded.recipe.progress import Progress
from daemon.embedded.recipe.shards import Encoded, encode_shards, load_shards
from daemon.embedded.recipe.stages import Recipe
from daemon.embedded.recipe.vocabulary import learn_tokenizers, open_tokenizers
from daemon.families import ModelSpec, load
from daemon.families.base import Step
from spool.jobs import ResolvedJob
from tests.daemon.test_sdxl import job


@pytest.fixture(autouse=True)
def few_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        stages, "learn_tokenizers", lambda folder: learn_tokenizers(folder, captions=60)
    )


def made(recipe: Recipe, folder: Path) -> Path:
    stages.ship(recipe, stages.run(recipe, Progress()), folder)
    return folder


def rendered(folder: Path, wanted: ResolvedJob) -> torch.Tensor:
    model = load(ModelSpec("made", "sdxl", folder, device="cpu"))

    def ignore(_: Step) -> None:
        pass

    return model.denoise(wanted, 7, ignore)


def test_from_nothing_to_a_folder_that_the_daemon_renders_and_on_from_it(
    tiny_recipe: Recipe, tmp_path: Path
) -> None:
    folder = made(tiny_recipe, tmp_path / "model")
    assert rendered(folder, job(width=64, height=64, steps=2)).shape == (1, 4, 8, 8)
    assert "clip_sample" in (folder / "scheduler" / "scheduler_config.json").read_text()

    again = replace(tiny_recipe, work=tmp_path / "again", start=folder)
    further = made(again, tmp_path / "further")
    assert rendered(further, job(width=96, height=64, steps=1)).shape == (1, 4, 8, 12)
    for name in ("vae/diffusion_pytorch_model.fp16.safetensors", "tokenizer/tokenizer.json"):
        assert (further / name).read_bytes() == (folder / name).read_bytes()
    before, after = (open_network(one).parameters() for one in (folder, further))
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_what_is_done_is_not_done_again(tiny_recipe: Recipe, tmp_path: Path) -> None:
    first = made(tiny_recipe, tmp_path / "model")
    work = [path for path in tiny_recipe.work.rglob("*") if path.is_file()]
    times = {path: path.stat().st_mtime_ns for path in work if "checkpoint" not in path.name}
    second = made(tiny_recipe, tmp_path / "second")
    assert {path: path.stat().st_mtime_ns for path in times} == times
    for part in ("unet/diffusion_pytorch_model", "text_encoder/model", "text_encoder_2/model"):
        name = f"{part}.fp16.safetensors"
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_shard_that_was_lost_is_made_again_as_it_was(tiny_recipe: Recipe) -> None:
    tokenizers = open_tokenizers(stages_start(tiny_recipe))
    autoencoder = stages.prepare_autoencoder(tiny_recipe, Progress())
    folder = tiny_recipe.work / "shards"
    encode_shards(folder, tiny_recipe.plan, autoencoder, tokenizers)
    lost = folder / "00001.safetensors"
    expected = load_file(lost)
    lost.unlink()
    written: list[int] = []
    encode_shards(folder, tiny_recipe.plan, autoencoder, tokenizers, written.append)
    assert written == [1]
    for name, tensor in load_file(lost).items():
        assert torch.equal(tensor, expected[name])
    sizes = {group.size: tuple(group.latents.shape) for group in load_all(tiny_recipe, folder)}
    assert sizes == {(64, 64): (8, 4, 8, 8), (96, 64): (8, 4, 8, 12)}


def stages_start(recipe: Recipe) -> Path:
    recipe.work.mkdir(parents=True)
    return stages.prepare_tokenizers(recipe)


def load_all(recipe: Recipe, folder: Path) -> list[Encoded]:
    return load_shards(folder, recipe.plan, torch.device("cpu"))


def test_a_folder_over_the_limit_is_refused_and_the_old_one_stays(
    embedded_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.embedded.recipe.assembling.LARGEST_BYTES", 1000)
    out = tmp_path / "model"
    out.mkdir()
    (out / "genzo.json").write_text("{}")
    with pytest.raises(ValueError, match="1000 are allowed"):
        assemble(
            out,
            open_network(embedded_folder),
            stages.open_autoencoder(embedded_folder),
            embedded_folder,
        )
    assert [path.name for path in out.iterdir()] == ["genzo.json"]


def test_previews_are_written_for_the_fixed_prompts(
    embedded_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from daemon.embedded.recipe import painters, previews

    monkeypatch.setattr(previews, "PROMPTS", ("a red circle on a white background",) * 2)
    write_previews(painters.open_folder(embedded_folder), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        picture = np.asarray(grid.convert("RGB"))[40:100, 40:100].reshape(-1, 3)
    red, green, blue = picture.mean(0)
    assert red > 150 > max(green, blue)

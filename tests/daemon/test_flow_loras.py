"""LoRAs on FLUX, Chroma and Z-Image: off unless allowed, then applied exactly in every spelling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from daemon.errors import RenderError
from daemon.families import Model, ModelSpec, load, parameters_of
from daemon.loras import LoraFolder
from spool.jobs import LoraRequest
from tests import models
from tests.daemon import tiny_loras
from tests.daemon.flow_pictures import ignore, job
from tests.daemon.tiny_loras import Lora, draw_lora, merge, save_lora
from tests.models import original_files as original
from tests.models.gguf_files import save_transformer_gguf

State = dict[str, torch.Tensor]
NAMES = ("dev", "chroma", "turbo")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def specs(
    flow_specs: dict[str, ModelSpec], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, ModelSpec]:
    return {
        name: replace(flow_specs[name], allow_loras=True, loras=tmp_path_factory.mktemp(name))
        for name in NAMES
    }


@pytest.fixture(scope="module")
def loaded(specs: dict[str, ModelSpec]) -> dict[str, Model]:
    return {name: load(spec) for name, spec in specs.items()}


def latents(model: Model, *weights: tuple[str, float]) -> torch.Tensor:
    is_guided = model.spec.name in ("dev", "chroma")
    wanted = job(
        loras=tuple(LoraRequest(id=name, weight=weight) for name, weight in weights),
        guidance_scale=3.0 if is_guided else 0.0,
        steps=2,
    )
    return model.denoise(wanted, 7, ignore)


def merged(spec: ModelSpec, lora: Lora, weight: float) -> torch.Tensor:
    """The latents of a model to whose weights the LoRA was added."""
    model = load(replace(spec, loras=None, allow_loras=False))
    merge(model._pipeline, lora, weight)  # type: ignore[attr-defined]
    return latents(model)


def comfy(lora: Lora) -> State:
    """As ai-toolkit and ComfyUI write diffusers' modules."""
    return {
        name.replace("transformer.", "diffusion_model.", 1): tensor
        for name, tensor in tiny_loras.diffusers(lora).items()
    }


def one_trainer(lora: Lora) -> State:
    return {
        name.replace("lora_unet_", "lora_transformer_"): tensor
        for name, tensor in kohya(lora).items()
    }


def kohya(lora: Lora) -> State:
    return tiny_loras.kohya([replace(pair, component="unet") for pair in lora])


def bare(lora: Lora) -> State:
    return {
        name.removeprefix("transformer."): tensor
        for name, tensor in tiny_loras.diffusers(lora).items()
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", [tiny_loras.diffusers, comfy, kohya, one_trainer, bare])
def test_a_lora_does_what_adding_it_to_the_weights_does(
    specs: dict[str, ModelSpec],
    loaded: dict[str, Model],
    name: str,
    write: Callable[[Lora], State],
) -> None:
    spec = specs[name]
    assert spec.loras is not None
    pipeline = models.open_bare(spec.weights)
    # These spellings have no alpha of their own but kohya's, who multiplies both into one.
    lora = draw_lora(
        pipeline, 3, components=("transformer",), wanted=lambda path: "to_" in path, alphas=(2.0,)
    )
    save_lora(spec.loras / "plain.safetensors", write(lora))
    before = latents(loaded[name])
    found = latents(loaded[name], ("plain", 0.4))
    torch.testing.assert_close(found, merged(spec, lora, 0.4), atol=2e-4, rtol=1e-3)
    assert (found - before).abs().max() > 1e-3
    assert torch.equal(latents(loaded[name]), before), "a job without is what it was before"
    assert torch.equal(latents(loaded[name], ("plain", 0.0)), before)


def drawn_for_the_original(folder: Path) -> tuple[State, State]:
    """A LoRA for every layer under the authors' names, and the weights with it added."""
    generator = torch.Generator().manual_seed(5)
    tensors: State = {}
    state = original.transformer(folder)
    for name, weight in state.items():
        if weight.dim() != 2 or not name.endswith(".weight"):
            continue
        layer = name.removesuffix(".weight")
        down = 0.2 * torch.randn(2, weight.shape[1], generator=generator)
        up = 0.2 * torch.randn(weight.shape[0], 2, generator=generator)
        tensors |= {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
        tensors[f"{layer}.alpha"] = torch.tensor(1.0)
        state[name] = weight + 0.5 * up @ down
    return tensors, state


def as_kohya(tensors: State) -> State:
    def spelled(name: str) -> str:
        layer = name.partition(".lora_" if ".lora_" in name else ".alpha")[0]
        ending = name.removeprefix(layer)
        return f"lora_unet_{layer.replace('.', '_')}{ending}"

    return {spelled(name): tensor for name, tensor in tensors.items()}


def as_comfy(tensors: State) -> State:
    return {f"diffusion_model.{name}": tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spell", [as_kohya, as_comfy, dict])
def test_every_layer_of_the_authors_names_is_applied_fused_ones_in_parts(
    specs: dict[str, ModelSpec],
    loaded: dict[str, Model],
    tmp_path: Path,
    name: str,
    spell: Callable[[State], State],
) -> None:
    spec = specs[name]
    assert spec.loras is not None
    tensors, changed = drawn_for_the_original(spec.weights)
    save_lora(spec.loras / "original.safetensors", spell(tensors))
    file = original.write_tensors(tmp_path / "x.safetensors", changed)
    keys = ("config", "vae", "text_encoder", "tokenizer")
    beside: dict[str, Any] = dict.fromkeys(keys, spec.weights)
    if spec.family == "flux":
        beside["text_encoder_2"] = spec.weights
    whole = load(replace(spec, weights=file, loras=None, allow_loras=False, **beside))
    found = latents(loaded[name], ("original", 1.0))
    torch.testing.assert_close(found, latents(whole), atol=2e-4, rtol=1e-3)


def test_flux_s_clip_takes_its_part_of_a_lora_and_is_encoded_anew(
    specs: dict[str, ModelSpec], loaded: dict[str, Model]
) -> None:
    spec = specs["dev"]
    assert spec.loras is not None
    lora = draw_lora(
        models.open_bare(spec.weights),
        8,
        components=("transformer", "text_encoder"),
        wanted=lambda path: path.endswith(("to_q", "q_proj")),
    )
    save_lora(spec.loras / "words.safetensors", tiny_loras.diffusers(lora))
    before = latents(loaded["dev"])
    torch.testing.assert_close(
        latents(loaded["dev"], ("words", 1.0)), merged(spec, lora, 1.0), atol=2e-4, rtol=1e-3
    )
    assert torch.equal(latents(loaded["dev"]), before)


@pytest.mark.parametrize("name", NAMES)
def test_keys_that_match_nothing_fail_the_job_alone(
    specs: dict[str, ModelSpec], loaded: dict[str, Model], name: str
) -> None:
    spec = specs[name]
    assert spec.loras is not None
    pipeline = models.open_bare(spec.weights)
    lora = draw_lora(pipeline, 3, components=("transformer",), wanted=lambda p: "to_" in p)
    before = latents(loaded[name])
    tensors = tiny_loras.diffusers(lora)
    half = {key.replace("to_q", "to_x"): tensor for key, tensor in tensors.items()}
    save_lora(spec.loras / "half.safetensors", half)
    wide = tiny_loras.diffusers([replace(pair, down=pair.down.repeat(1, 2)) for pair in lora])
    save_lora(spec.loras / "wide.safetensors", wide)
    for lora_id, reason in (("half", "keys name nothing in it"), ("wide", "has the shapes")):
        with pytest.raises(RenderError, match=rf"{lora_id}\.safetensors is not for .*{reason}"):
            latents(loaded[name], (lora_id, 1.0))
    assert torch.equal(latents(loaded[name]), before)


def test_one_module_under_two_names_is_refused(
    specs: dict[str, ModelSpec], loaded: dict[str, Model]
) -> None:
    spec = specs["turbo"]
    assert spec.loras is not None
    pair = {"lora_down.weight": torch.ones(1, 32), "lora_up.weight": torch.ones(32, 1)}
    fused = {"lora_down.weight": torch.ones(1, 32), "lora_up.weight": torch.ones(96, 1)}
    tensors = {f"diffusion_model.layers.0.attention.to_q.{n}": t for n, t in pair.items()}
    tensors |= {f"diffusion_model.layers.0.attention.qkv.{n}": t for n, t in fused.items()}
    save_lora(spec.loras / "twice.safetensors", tensors)
    with pytest.raises(RenderError, match=r"changes transformer\.layers\.0\.attention\.to_q twice"):
        latents(loaded["turbo"], ("twice", 1.0))


def test_triggers_are_appended_without_weights_that_nobody_would_read(
    specs: dict[str, ModelSpec], loaded: dict[str, Model]
) -> None:
    spec, model = specs["turbo"], loaded["turbo"]
    assert spec.loras is not None
    lora = draw_lora(
        models.open_bare(spec.weights), 1, components=("transformer",), wanted=lambda p: "to_q" in p
    )
    path = spec.loras / "ink.safetensors"
    save_lora(path, tiny_loras.diffusers(lora), {"modelspec.trigger_phrase": "ink (wash)"})
    wanted = job(loras=(LoraRequest(id="ink"),), guidance_scale=0.0, steps=1)
    model.denoise(wanted, 7, ignore)
    described = model.describe(wanted)
    assert described["effective_prompt"] == "a red cat, ink (wash)"
    assert described["loras"][0]["modules"] == {"transformer": 4}
    silent = job(loras=(LoraRequest(id="ink", trigger_weight=0),), guidance_scale=0.0, steps=1)
    model.denoise(silent, 7, ignore)
    assert model.describe(silent)["effective_prompt"] == "a red cat"


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_takes_loras_only_where_they_are_allowed(
    specs: dict[str, ModelSpec], flow_specs: dict[str, ModelSpec], name: str
) -> None:
    field = parameters_of(specs[name]).model_json_schema()["properties"]["loras"]
    assert "x-refusal" not in field
    refused = parameters_of(flow_specs[name]).model_json_schema()["properties"]["loras"]
    assert specs[name].family in refused["x-refusal"]


def test_a_lora_that_flux_and_chroma_may_have_is_offered_to_both_and_one_that_says_to_one(
    tmp_path: Path,
) -> None:
    name = "diffusion_model.double_blocks.0.img_attn.proj"
    tensors = {f"{name}.lora_A.weight": torch.ones(1, 8), f"{name}.lora_B.weight": torch.ones(8, 1)}
    save_lora(tmp_path / "either.safetensors", tensors)
    for said in ("chroma", "flux1", "flux2"):
        metadata = {"ss_base_model_version": said}
        save_lora(tmp_path / f"{said}.safetensors", tensors, metadata)
    offered = {
        family: [lora["id"] for lora in LoraFolder(tmp_path, family).available()]
        for family in ("flux", "chroma", "zimage", "sdxl")
    }
    assert offered == {
        "flux": ["either", "flux1"],
        "chroma": ["chroma", "either"],
        "zimage": [],
        "sdxl": [],
    }


def as_gguf(folder: Path, file: Path) -> Path:
    pytest.importorskip("gguf")
    return save_transformer_gguf(folder, file.with_suffix(".gguf"))


def as_fp8(folder: Path, file: Path) -> Path:
    return original.save_transformer(folder, file, precision="fp8")


@pytest.mark.parametrize("save", [as_gguf, as_fp8])
@pytest.mark.parametrize("name", ["dev", "turbo"])
def test_a_network_of_eight_bits_takes_loras_and_forgets_them(
    specs: dict[str, ModelSpec],
    tmp_path: Path,
    name: str,
    save: Callable[[Path, Path], Path],
) -> None:
    spec, folder = specs[name], specs[name].weights
    assert spec.loras is not None
    lora = draw_lora(
        models.open_bare(folder), 3, components=("transformer",), wanted=lambda path: "to_" in path
    )
    save_lora(spec.loras / "small.safetensors", tiny_loras.diffusers(lora))
    keys = ("config", "vae", "text_encoder", "tokenizer")
    beside: dict[str, Any] = dict.fromkeys(keys, folder)
    if spec.family == "flux":
        beside["text_encoder_2"] = folder
    model = load(replace(spec, weights=save(folder, tmp_path / "x.safetensors"), **beside))
    before = latents(model)
    change = latents(model, ("small", 1.0)) - before
    wanted = merged(spec, lora, 1.0) - latents(load(replace(spec, loras=None)))
    assert (change - wanted).abs().max() < 0.3 * wanted.abs().max()
    assert torch.equal(latents(model), before)

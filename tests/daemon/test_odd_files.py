"""What real files carry beside their weights, and how else they name and store them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from daemon.errors import ModelError
from daemon.families import ModelSpec
from daemon.weights.assembly import assemble
from tests import models
from tests.models import original_files as original
from tests.models.fp8 import LARGEST, to_fp8, to_scaled_fp8
from tests.models.gguf_files import save_transformer_gguf
from tests.models.renaming import prefixed

State = dict[str, torch.Tensor]
FLOAT32 = {"default": torch.float32}


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save_tiny_flux_dev(tmp_path_factory.mktemp("odd") / "flux")


@pytest.fixture(scope="module")
def zimage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save_tiny_zimage_turbo(tmp_path_factory.mktemp("odd") / "zimage")


def part_of(folder: Path, name: str, **files: Path) -> State:
    """One part of a model whose other parts are borrowed from the folder."""
    family = "flux" if (folder / "text_encoder_2").is_dir() else "zimage"
    weights = files.pop("weights", None)
    if weights is None:
        weights = original.save_transformer(folder, folder.parent / "network.safetensors")
    keys = ("vae", "text_encoder", *(("text_encoder_2",) if family == "flux" else ()))
    beside: dict[str, Any] = {**dict.fromkeys(keys, folder), **files}
    pipeline = assemble(ModelSpec("m", family, weights, config=folder, **beside), FLOAT32)
    state: State = getattr(pipeline, name).state_dict()
    return state


def equal(found: State, wanted: State) -> bool:
    return all(torch.equal(found[name], value) for name, value in wanted.items())


def within_fp8(found: State, wanted: State) -> bool:
    return all(
        (found[name].float() - value).abs().max() <= 0.08 * value.abs().max()
        for name, value in wanted.items()
    )


def whole_clip(state: State) -> State:
    more = {"text_projection.weight": torch.eye(32), "logit_scale": torch.tensor(4.6)}
    vision = {"vision_model.embeddings.class_embedding": torch.zeros(4)}
    ids = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    return {**state, **more, **vision, **ids, "visual_projection.weight": torch.eye(4)}


def table_by_its_other_name(state: State) -> State:
    return {
        name.replace("shared.weight", "encoder.embed_tokens.weight"): value
        for name, value in state.items()
    }


def with_the_half_that_writes(state: State) -> State:
    more = {"decoder.final_layer_norm.weight": torch.ones(32), "lm_head.weight": torch.eye(4)}
    return {**state, **more, "spiece_model": torch.zeros(9, dtype=torch.uint8)}


def with_what_training_measured(state: State) -> State:
    return {**state, "loss.logvar": torch.zeros(()), "model_ema.decay": torch.zeros(())}


@pytest.mark.parametrize(
    ("setting", "part", "change"),
    [
        ("text_encoder", "text_encoder", whole_clip),
        ("text_encoder_2", "text_encoder_2", table_by_its_other_name),
        ("text_encoder_2", "text_encoder_2", with_the_half_that_writes),
        ("vae", "vae", with_what_training_measured),
    ],
)
def test_what_belongs_to_another_half_of_the_file_is_left_out(
    flux: Path, tmp_path: Path, setting: str, part: str, change: Callable[[State], State]
) -> None:
    state = models.state_of(flux, part)
    if part == "text_encoder":
        state = {f"text_model.{name.removeprefix('text_model.')}": it for name, it in state.items()}
    file = original.write_tensors(tmp_path / "x.safetensors", change(state))
    assert equal(part_of(flux, part, **{setting: file}), models.state_of(flux, part))


def test_a_vae_may_name_its_attention_as_diffusers_once_did(flux: Path, tmp_path: Path) -> None:
    wanted = models.state_of(flux, "vae")
    new = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"))
    old = wanted
    for ours, theirs in new:
        old = {name.replace(f".{ours}.", f".{theirs}."): value for name, value in old.items()}
    file = original.write_tensors(tmp_path / "vae.safetensors", old)
    assert equal(part_of(flux, "vae", vae=file), wanted)


def test_qwen_may_come_without_the_name_of_the_class_around_it(
    zimage: Path, tmp_path: Path
) -> None:
    wanted = models.state_of(zimage, "text_encoder")
    bare = {name.removeprefix("model."): value for name, value in wanted.items()}
    file = original.write_tensors(tmp_path / "qwen.safetensors", bare)
    found = part_of(zimage, "text_encoder", text_encoder=file)
    assert equal(found, {f"model.{name}": value for name, value in bare.items()})


@pytest.mark.parametrize("prefix", ["diffusion_model.", "model.diffusion_model."])
def test_a_network_is_known_behind_each_prefix(flux: Path, tmp_path: Path, prefix: str) -> None:
    file = original.save_transformer(flux, tmp_path / "x.safetensors", prefix=prefix)
    found = part_of(flux, "transformer", weights=file)
    assert equal(found, models.state_of(flux, "transformer"))


def to_comfy_quant(state: State, layout: str = "float8_e4m3fn", *, as_bytes: bool = False) -> State:
    """ComfyUI's newer files: each layer says how it is stored; float8 may stand in bytes."""
    stored: State = {}
    for name, value in state.items():
        if value.dim() != 2 or not name.endswith(".weight"):
            stored[name] = value.to(torch.bfloat16)
            continue
        layer = name.removesuffix(".weight")
        scale = value.abs().max() / LARGEST
        weight = (value / scale).to(torch.float8_e4m3fn)
        stored[name] = weight.view(torch.uint8) if as_bytes else weight
        stored[f"{layer}.weight_scale"] = scale
        stored[f"{layer}.input_scale"] = torch.ones(())
        said = json.dumps({"format": layout, "full_precision_matrix_mult": True})
        stored[f"{layer}.comfy_quant"] = torch.tensor(list(said.encode()), dtype=torch.uint8)
    return stored


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_layers_that_say_that_they_are_float8_are_restored(
    flux: Path, tmp_path: Path, prefix: str, as_bytes: bool
) -> None:
    state = to_comfy_quant(original.transformer(flux), as_bytes=as_bytes)
    file = original.write_tensors(tmp_path / "x.safetensors", prefixed(prefix, state))
    found = part_of(flux, "transformer", weights=file)
    assert within_fp8(found, models.state_of(flux, "transformer"))


def test_a_text_encoder_whose_layers_say_so_is_restored(zimage: Path, tmp_path: Path) -> None:
    wanted = prefixed("model.", models.state_of(zimage, "text_encoder"))
    file = original.write_tensors(tmp_path / "qwen.safetensors", to_comfy_quant(wanted))
    assert within_fp8(part_of(zimage, "text_encoder", text_encoder=file), wanted)


def test_formats_may_stand_in_the_metadata_instead(flux: Path, tmp_path: Path) -> None:
    state = to_comfy_quant(original.transformer(flux), as_bytes=True)
    layers = [name.removesuffix(".comfy_quant") for name in state if name.endswith(".comfy_quant")]
    said = {
        "format_version": "1.0",
        "layers": {name: {"format": "float8_e4m3fn"} for name in layers},
    }
    bare = {name: value for name, value in state.items() if not name.endswith(".comfy_quant")}
    file = original.write_tensors(
        tmp_path / "x.safetensors", bare, {"_quantization_metadata": json.dumps(said)}
    )
    found = part_of(flux, "transformer", weights=file)
    assert within_fp8(found, models.state_of(flux, "transformer"))


def four_bits(state: State) -> State:
    return to_comfy_quant(state, "nvfp4", as_bytes=True)


def no_json(state: State) -> State:
    said = torch.tensor(list(b"{format}"), dtype=torch.uint8)
    return {
        name: said if name.endswith(".comfy_quant") else value
        for name, value in to_comfy_quant(state).items()
    }


def two_factors(state: State) -> State:
    return {**to_scaled_fp8(state), "img_in.weight_scale_2": torch.ones(())}


def factors_of_blocks(state: State) -> State:
    scaled = to_scaled_fp8(state)
    return {**scaled, "img_in.scale_weight": torch.ones(2, 3)}


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        (four_bits, r"\.\w+ is quantised as nvfp4, which genzo does not know; fetch the model in"),
        (no_json, "does not say in JSON how its layers are quantised"),
        (two_factors, "img_in is quantised with more than one factor a layer"),
        (factors_of_blocks, r"img_in is quantised with scales of the shape \(2, 3\)"),
    ],
)
def test_what_cannot_be_restored_exactly_is_refused_in_one_line(
    flux: Path, tmp_path: Path, store: Callable[[State], State], reason: str
) -> None:
    file = original.write_tensors(tmp_path / "x.safetensors", store(original.transformer(flux)))
    with pytest.raises(ModelError, match=reason) as caught:
        part_of(flux, "transformer", weights=file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_parts_of_one_file_may_be_of_different_precision(flux: Path, tmp_path: Path) -> None:
    t5 = to_scaled_fp8(models.state_of(flux, "text_encoder_2"))
    state = {
        **prefixed("model.diffusion_model.", to_fp8(original.transformer(flux))),
        **prefixed("text_encoders.t5xxl.transformer.", t5),
    }
    file = original.write_tensors(tmp_path / "x.safetensors", state)
    found = part_of(flux, "transformer", weights=file)
    assert within_fp8(found, models.state_of(flux, "transformer"))
    spec = ModelSpec("m", "flux", file, config=flux, vae=flux, text_encoder=flux)
    pipeline = assemble(spec, FLOAT32)
    wanted = models.state_of(flux, "text_encoder_2")
    assert within_fp8(pipeline.text_encoder_2.state_dict(), wanted)


def test_what_a_gguf_quantises_outside_of_layers_is_restored(zimage: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    file = save_transformer_gguf(zimage, tmp_path / "z.gguf")
    found = part_of(zimage, "transformer", weights=file)
    wanted = models.state_of(zimage, "transformer")["cap_pad_token"]
    assert (found["cap_pad_token"] - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_a_file_that_is_cut_short_after_loading_harms_nobody(flux: Path, tmp_path: Path) -> None:
    """A tensor in the file's own pages would end the process with SIGBUS."""
    file = original.save_transformer(flux, tmp_path / "x.safetensors")
    found = part_of(flux, "transformer", weights=file)
    os.truncate(file, 0)
    assert equal(found, models.state_of(flux, "transformer"))

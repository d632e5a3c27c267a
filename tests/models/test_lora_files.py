"""The LoRA files, loaded by diffusers: what they add must be what they were made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.models import lora_files, loras, open_bare
from tests.models.comparing import networks
from tests.models.loras import Lora
from tests.models.shelf import Shelf


@pytest.mark.parametrize("kind", ["peft", "kohya", "sgm"])
def test_all_names_of_an_sdxl_lora_mean_the_same(shelf: Shelf, tmp_path: Path, kind: str) -> None:
    lora = loras.sdxl_lora(shelf.sdxl)
    file = tmp_path / "lora.safetensors"
    metadata = lora_files.kohya_metadata("tiny", lora)
    if kind == "peft":
        lora_files.save_peft_lora(lora, file)
    else:
        lora_files.save_kohya_lora(lora, file, metadata, sgm_blocks=kind == "sgm")
    assert_adds(open_bare(shelf.sdxl), file, deltas(lora))


def test_a_flux_lora_in_diffusers_names(shelf: Shelf, tmp_path: Path) -> None:
    lora = loras.flux_lora(shelf.flux_dev)
    file = lora_files.save_peft_lora(lora, tmp_path / "lora.safetensors")
    assert_adds(open_bare(shelf.flux_dev), file, deltas(lora))


def test_a_flux_lora_in_kohya_s_names_is_one_of_the_original_s_layers(
    shelf: Shelf, tmp_path: Path
) -> None:
    lora = loras.flux_lora_bfl(shelf.flux_dev)
    pipeline = open_bare(shelf.flux_dev)
    file = lora_files.save_kohya_lora(lora, tmp_path / "lora.safetensors")
    found = added(pipeline, file)
    fused = [found[f"transformer.transformer_blocks.1.attn.to_{part}"] for part in "qkv"]
    assert torch.equal(torch.cat(fused), lora.delta("unet.double_blocks.1.img_attn.qkv"))
    assert torch.equal(
        found["transformer.single_transformer_blocks.0.proj_out"],
        lora.delta("unet.single_blocks.0.linear2"),
    )
    assert len(found) == len(lora.layers) + 2 * 4  # four times three are one in the original


@pytest.mark.parametrize("save", [lora_files.save_loha, lora_files.save_lokr])
def test_diffusers_refuses_lycoris_for_sdxl(shelf: Shelf, tmp_path: Path, save: Any) -> None:
    file = save(loras.sdxl_lora(shelf.sdxl), tmp_path / "lycoris.safetensors")
    with pytest.raises(ValueError, match="have not been correctly renamed"):
        open_bare(shelf.sdxl).load_lora_weights(str(file), adapter_name="tiny")


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_lycoris_files_multiply_to_the_shapes_of_the_layers(
    shelf: Shelf, tmp_path: Path, kind: str
) -> None:
    lora = loras.sdxl_lora(shelf.sdxl)
    file = tmp_path / "lycoris.safetensors"
    (lora_files.save_loha if kind == "loha" else lora_files.save_lokr)(lora, file)
    state = load_file(str(file))
    layer = next(name for name in lora.layers if name.endswith("attn2.to_k"))
    stem = lora_files.kohya_name(layer, sgm_blocks=True)
    if kind == "loha":
        one, two = (state[f"{stem}.hada_{w}_a"] @ state[f"{stem}.hada_{w}_b"] for w in ("w1", "w2"))
        product = one * two
    else:
        second = state[f"{stem}.lokr_w2_a"] @ state[f"{stem}.lokr_w2_b"]
        product = torch.kron(state[f"{stem}.lokr_w1"], second)
    assert product.shape == lora.delta(layer).shape


def test_of_a_half_wrong_lora_diffusers_loads_the_other_half(shelf: Shelf, tmp_path: Path) -> None:
    lora = loras.sdxl_lora(shelf.sdxl)
    file = lora_files.save_half_wrong_lora(lora, tmp_path / "lora.safetensors")
    assert len(added(open_bare(shelf.sdxl), file)) == len(lora.layers) // 2


def test_an_embedding_is_no_lora(shelf: Shelf, tmp_path: Path) -> None:
    file = lora_files.save_embedding(tmp_path / "embedding.safetensors")
    with pytest.raises(ValueError, match="Invalid LoRA checkpoint"):
        open_bare(shelf.sdxl).load_lora_weights(str(file), adapter_name="tiny")


def test_the_header_and_the_side_files_name_the_trigger(shelf: Shelf, tmp_path: Path) -> None:
    lora = loras.sdxl_lora(shelf.sdxl, parts=("unet",))
    metadata = lora_files.kohya_metadata("tiny", lora)
    file = lora_files.save_kohya_lora(lora, tmp_path / "tiny.safetensors", metadata)
    with safe_open(str(file), "pt") as opened:
        assert opened.metadata()["modelspec.trigger_phrase"] == lora_files.TRIGGER
        assert opened.metadata()["ss_network_dim"] == "4"
    info = lora_files.write_civitai_info(file)
    assert info.name == "tiny.civitai.info"
    described = json.loads(info.read_text(encoding="utf-8"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest().upper()
    assert described["files"][0]["hashes"]["SHA256"] == digest
    assert lora_files.TRIGGER in described["trainedWords"][0]
    notes = json.loads(lora_files.write_webui_json(file).read_text(encoding="utf-8"))
    assert notes["preferred weight"] == 0.8


def deltas(lora: Lora) -> dict[str, torch.Tensor]:
    """What the LoRA adds, by the names of the modules in transformers 5."""
    flat = ("text_encoder.text_model.", "text_encoder.")
    return {name.replace(*flat): lora.delta(name) for name in lora.layers}


def added(pipeline: Any, file: Path) -> dict[str, torch.Tensor]:
    """What the file adds to each layer of the pipeline."""
    pipeline.load_lora_weights(str(file), adapter_name="tiny")
    found = {}
    for part, network in networks(pipeline).items():
        for name, module in network.named_modules():
            if "tiny" in getattr(module, "lora_A", {}):
                layer: Any = module
                found[f"{part}.{name}"] = layer.get_delta_weight("tiny").detach()
    return found


def assert_adds(pipeline: Any, file: Path, wanted: Mapping[str, torch.Tensor]) -> None:
    found = added(pipeline, file)
    assert sorted(found) == sorted(wanted)
    for name, delta in wanted.items():
        assert torch.allclose(found[name], delta, atol=1e-6), name

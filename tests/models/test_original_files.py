"""The files in original names, read back by diffusers' own converters."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file

from tests.models import open_bare, original_files, state_of
from tests.models.comparing import assert_same, networks, paint
from tests.models.fp8 import MARKER, SCALE, from_fp8
from tests.models.original_files import COMFY_PREFIX, save_sdxl_checkpoint, save_transformer
from tests.models.shelf import Shelf

diffusers: Any = import_module("diffusers")
converters: Any = import_module("diffusers.loaders.single_file_utils")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

TRANSFORMERS = [
    ("flux_dev", "FluxTransformer2DModel", "flux-dev"),
    ("flux_schnell", "FluxTransformer2DModel", "flux-schnell"),
    ("chroma", "ChromaTransformer2DModel", "chroma"),
    ("zimage_turbo", "ZImageTransformer2DModel", "z-image-turbo"),
    ("zimage", "ZImageTransformer2DModel", "z-image-turbo"),
]
PUBLISHED = {
    # Names out of the real files, as other programs look for them.
    "sdxl_file": [
        "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.2.2.conv.weight",
        "model.diffusion_model.label_emb.0.0.weight",
        "first_stage_model.decoder.mid.attn_1.q.weight",
        "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
        "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias",
        "conditioner.embedders.1.model.text_projection",
    ],
    "flux_file": [
        "double_blocks.0.img_attn.norm.key_norm.scale",
        "double_blocks.0.img_attn.qkv.weight",
        "single_blocks.0.linear1.weight",
        "guidance_in.in_layer.weight",
        "final_layer.adaLN_modulation.1.weight",
    ],
}


def test_an_sdxl_checkpoint_holds_every_tensor_of_the_folder(shelf: Shelf) -> None:
    found = diffusers.StableDiffusionXLPipeline.from_single_file(
        str(shelf.sdxl_file), config=str(shelf.sdxl), local_files_only=True
    )
    wanted = open_bare(shelf.sdxl)
    for part, network in networks(wanted).items():
        assert_same(getattr(found, part).state_dict(), network.state_dict())
    assert abs(paint(found, "a red cat") - paint(wanted, "a red cat")).max() < 1e-4
    assert converters.infer_diffusers_model_type(load_file(str(shelf.sdxl_file))) == "xl_base"


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_names_are_those_of_the_published_files(shelf: Shelf, kind: str) -> None:
    assert set(PUBLISHED[kind]) <= set(load_file(str(getattr(shelf, kind))))


def test_a_checkpoint_says_how_it_was_trained_if_asked(shelf: Shelf, tmp_path: Path) -> None:
    file = save_sdxl_checkpoint(
        shelf.sdxl,
        tmp_path / "noob.safetensors",
        v_pred=True,
        ztsnr=True,
        metadata=original_files.modelspec("Tiny", prediction_type="v"),
    )
    with safe_open(str(file), "pt") as opened:
        assert opened.metadata()["modelspec.prediction_type"] == "v"
        assert {"v_pred", "ztsnr"} <= set(opened.keys())
        assert opened.get_tensor(f"{COMFY_PREFIX}out.2.weight").dtype == torch.float16
    plain = load_file(str(shelf.sdxl_file))
    assert not {"v_pred", "ztsnr"} & set(plain)


@pytest.mark.parametrize("prefix", ["", COMFY_PREFIX])
@pytest.mark.parametrize(("model", "class_name", "kind"), TRANSFORMERS)
def test_a_transformer_alone_holds_every_tensor_of_the_folder(
    shelf: Shelf, tmp_path: Path, model: str, class_name: str, kind: str, prefix: str
) -> None:
    folder = getattr(shelf, model)
    file = save_transformer(folder, tmp_path / "model.safetensors", prefix=prefix)
    assert converters.infer_diffusers_model_type(load_file(str(file))) == kind
    found = getattr(diffusers, class_name).from_single_file(
        str(file), config=str(folder), subfolder="transformer"
    )
    assert_same(found.state_dict(), state_of(folder, "transformer"))


@pytest.mark.parametrize("model", ["flux_dev", "flux_schnell"])
def test_one_file_holds_all_of_a_flux(shelf: Shelf, tmp_path: Path, model: str) -> None:
    folder = getattr(shelf, model)
    file = original_files.save_flux_checkpoint(folder, tmp_path / "flux.safetensors")
    found = diffusers.FluxPipeline.from_single_file(
        str(file), config=str(folder), local_files_only=True
    )
    # diffusers leaves T5's second name for its tokens without memory.
    found.text_encoder_2.encoder.embed_tokens.weight = found.text_encoder_2.shared.weight
    for part, network in networks(open_bare(folder)).items():
        assert_same(getattr(found, part).state_dict(), network.state_dict())


@pytest.mark.parametrize("model", ["sdxl", "flux_dev", "zimage"])
def test_a_vae_alone_holds_every_tensor_of_the_folder(
    shelf: Shelf, tmp_path: Path, model: str
) -> None:
    folder = getattr(shelf, model)
    file = original_files.save_vae(folder, tmp_path / "ae.safetensors")
    found = diffusers.AutoencoderKL.from_single_file(str(file), config=str(folder), subfolder="vae")
    assert_same(found.state_dict(), state_of(folder, "vae"))


@pytest.mark.parametrize(
    ("model", "save", "part", "class_name"),
    [
        ("sdxl", original_files.save_clip_l, "text_encoder", "CLIPTextModel"),
        ("flux_dev", original_files.save_clip_l, "text_encoder", "CLIPTextModel"),
        ("flux_dev", original_files.save_t5xxl, "text_encoder_2", "T5EncoderModel"),
        ("chroma", original_files.save_t5xxl, "text_encoder", "T5EncoderModel"),
        ("zimage", original_files.save_qwen3, "text_encoder", "Qwen3Model"),
    ],
)
def test_a_text_encoder_alone_loads_in_place_of_the_folder_s(
    shelf: Shelf,
    tmp_path: Path,
    model: str,
    save: Callable[[Path, Path], Path],
    part: str,
    class_name: str,
) -> None:
    wanted = getattr(shelf, model) / part
    save(getattr(shelf, model), tmp_path / "model.safetensors")
    shutil.copy(wanted / "config.json", tmp_path)
    load: Any = getattr(transformers, class_name).from_pretrained
    assert_same(load(str(tmp_path)).state_dict(), load(str(wanted)).state_dict())


def test_fp8_weights_are_the_original_s_within_their_precision(
    shelf: Shelf, tmp_path: Path
) -> None:
    file = save_transformer(shelf.flux_dev, tmp_path / "model.safetensors", precision="fp8")
    state = load_file(str(file))
    assert {tensor.dtype for tensor in state.values()} == {torch.float8_e4m3fn}
    assert_same(from_fp8(state), original_files.transformer(shelf.flux_dev), relative=2**-4)


@pytest.mark.parametrize("model", ["flux_dev", "chroma", "zimage"])
@pytest.mark.parametrize("prefix", ["", COMFY_PREFIX])
def test_scaled_fp8_weights_times_their_scales_are_the_original_s(
    shelf: Shelf, tmp_path: Path, model: str, prefix: str
) -> None:
    folder = getattr(shelf, model)
    file = save_transformer(
        folder, tmp_path / "model.safetensors", prefix=prefix, precision="scaled_fp8"
    )
    state = load_file(str(file))
    assert f"{prefix}{MARKER}" in state
    assert any(name.endswith(SCALE) for name in state)
    wanted = {f"{prefix}{name}": it for name, it in original_files.transformer(folder).items()}
    assert_same(from_fp8(state), wanted, relative=2**-4)


def test_diffusers_forgets_the_scales_of_scaled_fp8_without_a_word(
    shelf: Shelf, tmp_path: Path
) -> None:
    file = save_transformer(shelf.flux_dev, tmp_path / "model.safetensors", precision="scaled_fp8")
    found = diffusers.FluxTransformer2DModel.from_single_file(
        str(file), config=str(shelf.flux_dev), subfolder="transformer", dtype=torch.float32
    )
    wanted = state_of(shelf.flux_dev, "transformer")["x_embedder.weight"]
    assert found.x_embedder.weight.abs().max() > 100 * wanted.abs().max()


def test_a_gguf_holds_the_transformer_in_eight_bits(shelf: Shelf) -> None:
    pytest.importorskip("gguf")
    utils = pytest.importorskip("diffusers.quantizers.gguf.utils")
    found = diffusers.FluxTransformer2DModel.from_single_file(
        str(shelf.flux_gguf),
        config=str(shelf.flux_dev),
        subfolder="transformer",
        quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=torch.float32),
    )
    state = found.state_dict()
    assert isinstance(state["x_embedder.weight"], utils.GGUFParameter)
    plain = {
        name: utils.dequantize_gguf_tensor(it) if isinstance(it, utils.GGUFParameter) else it
        for name, it in state.items()
    }
    assert_same(plain, state_of(shelf.flux_dev, "transformer"), relative=2**-7)

"""Diffusers folders that something is wrong with: a copy of SDXL's, with one thing changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.models.folders import open_bare, state_of, write
from tests.models.shelf import Shelf

INDEX = "model_index.json"
UNET_FILE = "diffusion_pytorch_model.safetensors"


def without_index(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    (folder / INDEX).unlink()
    return folder


def empty_folder(shelf: Shelf, place: Path) -> Path:
    folder = place / "model"
    folder.mkdir()
    return folder


def index_without_json(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    (folder / INDEX).write_text('{"_class_name": "StableDiffusionXLPipeline",', encoding="utf-8")
    return folder


def unet_config_without_json(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    (folder / "unet" / "config.json").write_bytes(b"\x00\xff\xfe")
    return folder


def index_of_another_pipeline(shelf: Shelf, place: Path) -> Path:
    return _edited(shelf, place, INDEX, _class_name="StableDiffusionPipeline")


def index_of_an_unknown_pipeline(shelf: Shelf, place: Path) -> Path:
    return _edited(shelf, place, INDEX, _class_name="NovelPipeline")


def config_of_another_width(shelf: Shelf, place: Path) -> Path:
    return _edited(shelf, place, "unet/config.json", block_out_channels=[8, 16, 32])


def config_with_one_layer_more(shelf: Shelf, place: Path) -> Path:
    return _edited(shelf, place, "unet/config.json", layers_per_block=3)


def without_one_shard(shelf: Shelf, place: Path) -> Path:
    folder = _sharded(shelf, place)
    sorted((folder / "unet").glob("*-00002-of-*.safetensors"))[0].unlink()
    return folder


def without_shard_index(shelf: Shelf, place: Path) -> Path:
    folder = _sharded(shelf, place)
    (folder / "unet" / f"{UNET_FILE}.index.json").unlink()
    return folder


def fp16_variant_only(shelf: Shelf, place: Path) -> Path:
    """Whole, for who asks for the variant."""
    folder = place / "model"
    return write(open_bare(shelf.sdxl), folder, dtype=torch.float16, variant="fp16")


def pickled_weights_only(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        (file,) = (folder / part).glob("*.safetensors")
        name = "pytorch_model.bin" if "text" in part else "diffusion_pytorch_model.bin"
        torch.save(load_file(str(file)), folder / part / name)
        file.unlink()
    return folder


def truncated_weights(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    file = folder / "unet" / UNET_FILE
    file.write_bytes(file.read_bytes()[:100_000])
    return folder


def weights_without_one_tensor(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    state = state_of(folder, "unet")
    del state["mid_block.attentions.0.norm.weight"]
    save_file(state, str(folder / "unet" / UNET_FILE), metadata={"format": "pt"})
    return folder


def without_weights(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    (folder / "unet" / UNET_FILE).unlink()
    return folder


def without_vae_folder(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    shutil.rmtree(folder / "vae")
    return folder


def without_tokenizer_folder(shelf: Shelf, place: Path) -> Path:
    folder = _copied(shelf, place)
    shutil.rmtree(folder / "tokenizer")
    return folder


def without_vocabulary(shelf: Shelf, place: Path) -> Path:
    """The tokenizer's configuration is there, its words are not."""
    folder = _copied(shelf, place)
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).unlink(missing_ok=True)
    return folder


def fewer_embeddings_than_tokens(shelf: Shelf, place: Path) -> Path:
    """The text encoder is of another vocabulary than the tokenizer beside it."""
    folder = _edited(shelf, place, "text_encoder/config.json", vocab_size=100)
    state = state_of(folder, "text_encoder")
    (name,) = [name for name in state if name.endswith("token_embedding.weight")]
    state[name] = state[name][:100].clone()
    file = folder / "text_encoder" / "model.safetensors"
    save_file(state, str(file), metadata={"format": "pt"})
    return folder


def _copied(shelf: Shelf, place: Path) -> Path:
    return Path(shutil.copytree(shelf.sdxl, place / "model"))


def _sharded(shelf: Shelf, place: Path) -> Path:
    return write(open_bare(shelf.sdxl), place / "model", max_shard_size="200KB")


def _edited(shelf: Shelf, place: Path, part: str, **changes: Any) -> Path:
    folder = _copied(shelf, place)
    config = json.loads((folder / part).read_text(encoding="utf-8"))
    (folder / part).write_text(json.dumps({**config, **changes}), encoding="utf-8")
    return folder

"""Files that claim to be models: each function makes one below `place` and returns its path."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.models.folders import State
from tests.models.gguf_files import save_llama_gguf
from tests.models.ldm_names import clip_l_to_ldm
from tests.models.original_files import COMFY_PREFIX, save_transformer, write_tensors
from tests.models.shelf import Shelf

FIRST_STAGE = "first_stage_model."
CONDITIONER = "conditioner."

Maker = Callable[[Shelf, Path], Path]


class _Bomb:
    """Unpickled, it makes the file that it was told."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self._proof), "w"))


def truncated(shelf: Shelf, place: Path) -> Path:
    whole = shelf.sdxl_file.read_bytes()
    return _raw(place, whole[: len(whole) // 2])


def longer_header_than_file(shelf: Shelf, place: Path) -> Path:
    whole = shelf.sdxl_file.read_bytes()
    return _raw(place, (len(whole) * 2).to_bytes(8, "little") + whole[8:])


def header_length_of_exabytes(shelf: Shelf, place: Path) -> Path:
    return _raw(place, (2**63).to_bytes(8, "little") + shelf.sdxl_file.read_bytes()[8:])


def header_without_json(shelf: Shelf, place: Path) -> Path:
    whole = bytearray(shelf.sdxl_file.read_bytes())
    whole[8:16] = b"notjson!"
    return _raw(place, bytes(whole))


def pickle_named_safetensors(shelf: Shelf, place: Path) -> Path:
    return _pickled(shelf, place / "model.safetensors")


def pickle_ckpt(shelf: Shelf, place: Path) -> Path:
    return _pickled(shelf, place / "model.ckpt")


def pickle_pt(shelf: Shelf, place: Path) -> Path:
    return _pickled(shelf, place / "model.pt")


def pickle_bin(shelf: Shelf, place: Path) -> Path:
    return _pickled(shelf, place / "model.bin")


def pickle_bomb(shelf: Shelf, place: Path) -> Path:
    """Whoever unpickles it leaves a file `exploded` beside it."""
    file = place / "model.ckpt"
    torch.save({"state_dict": {"weight": _Bomb(place / "exploded")}}, file)
    return file


def empty_file(shelf: Shelf, place: Path) -> Path:
    return _raw(place, b"")


def html_page(shelf: Shelf, place: Path) -> Path:
    return _raw(place, b"<!DOCTYPE html>\n<html><title>401: log in to download</title></html>\n")


def git_lfs_pointer(shelf: Shelf, place: Path) -> Path:
    oid = b"oid sha256:" + b"ab" * 32
    return _raw(
        place, b"version https://git-lfs.github.com/spec/v1\n" + oid + b"\nsize 6938078334\n"
    )


def no_tensors(shelf: Shelf, place: Path) -> Path:
    return write_tensors(place / "model.safetensors", {})


def lora_as_checkpoint(shelf: Shelf, place: Path) -> Path:
    return _copied(shelf.sdxl_lora, place)


def flux_as_sdxl(shelf: Shelf, place: Path) -> Path:
    return _copied(shelf.flux_file, place)


def sd15_as_sdxl(shelf: Shelf, place: Path) -> Path:
    """One text encoder, named as it was before SDXL, and no embedding of sizes."""
    state = _checkpoint(shelf)
    encoder = clip_l_to_ldm(_below(state, "conditioner.embedders.0.transformer."))
    kept = {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith((CONDITIONER, f"{COMFY_PREFIX}label_emb."))
    }
    kept.update({f"cond_stage_model.transformer.{name}": it for name, it in encoder.items()})
    return _written(kept, place)


def vae_only(shelf: Shelf, place: Path) -> Path:
    return _filtered(shelf, place, lambda name: name.startswith(FIRST_STAGE))


def text_encoders_only(shelf: Shelf, place: Path) -> Path:
    return _filtered(shelf, place, lambda name: name.startswith(CONDITIONER))


def without_text_encoders(shelf: Shelf, place: Path) -> Path:
    return _filtered(shelf, place, lambda name: not name.startswith(CONDITIONER))


def without_second_text_encoder(shelf: Shelf, place: Path) -> Path:
    return _filtered(shelf, place, lambda name: not name.startswith("conditioner.embedders.1."))


def without_vae(shelf: Shelf, place: Path) -> Path:
    return _filtered(shelf, place, lambda name: not name.startswith(FIRST_STAGE))


def without_one_block(shelf: Shelf, place: Path) -> Path:
    return _filtered(shelf, place, lambda name: f"{COMFY_PREFIX}input_blocks.5." not in name)


def without_one_tensor(shelf: Shelf, place: Path) -> Path:
    missing = f"{COMFY_PREFIX}middle_block.1.norm.weight"
    return _filtered(shelf, place, lambda name: name != missing)


def with_one_block_more(shelf: Shelf, place: Path) -> Path:
    state = _checkpoint(shelf)
    more = _below(state, f"{COMFY_PREFIX}input_blocks.8.")
    state.update({f"{COMFY_PREFIX}input_blocks.9.{name}": it for name, it in more.items()})
    return _written(state, place)


def inpainting_as_sdxl(shelf: Shelf, place: Path) -> Path:
    """The first layer takes nine channels instead of four."""
    state = _checkpoint(shelf)
    first = f"{COMFY_PREFIX}input_blocks.0.0.weight"
    state[first] = torch.cat([state[first], state[first], state[first][:, :1]], dim=1)
    return _written(state, place)


def nan_weights(shelf: Shelf, place: Path) -> Path:
    state = _checkpoint(shelf)
    state[f"{COMFY_PREFIX}out.2.weight"][:] = float("nan")
    return _written(state, place)


def integer_weights(shelf: Shelf, place: Path) -> Path:
    """Quantised to int8 by a tool that left its scales elsewhere."""
    state = _checkpoint(shelf)
    return _written({name: (it * 100).to(torch.int8) for name, it in state.items()}, place)


def scaled_fp8_without_scales(shelf: Shelf, place: Path) -> Path:
    file = save_transformer(shelf.flux_dev, place / "model.safetensors", precision="scaled_fp8")
    state = load_file(str(file))
    return _written({n: it for n, it in state.items() if not n.endswith(".scale_weight")}, place)


def truncated_gguf(shelf: Shelf, place: Path) -> Path:
    file = place / "model.gguf"
    whole = shelf.flux_gguf.read_bytes()
    file.write_bytes(whole[: len(whole) * 3 // 4])
    return file


def llama_gguf(shelf: Shelf, place: Path) -> Path:
    return save_llama_gguf(place / "model.gguf")


def unreadable(shelf: Shelf, place: Path) -> Path:
    """Mode 000, which root reads all the same."""
    file = _copied(shelf.sdxl_file, place)
    file.chmod(0)
    return file


def symlink_loop(shelf: Shelf, place: Path) -> Path:
    file = place / "model.safetensors"
    file.symlink_to(file.name)
    return file


def dangling_symlink(shelf: Shelf, place: Path) -> Path:
    """What a hub cache looks like after its blobs were deleted."""
    file = place / "model.safetensors"
    file.symlink_to("../blobs/0123456789abcdef")
    return file


def fifo(shelf: Shelf, place: Path) -> Path:
    """Whoever opens it waits for ever."""
    file = place / "model.safetensors"
    os.mkfifo(file)
    return file


def _raw(place: Path, content: bytes) -> Path:
    file = place / "model.safetensors"
    file.write_bytes(content)
    return file


def _copied(source: Path, place: Path) -> Path:
    return Path(shutil.copy(source, place / "model.safetensors"))


def _checkpoint(shelf: Shelf) -> State:
    return {name: tensor.clone() for name, tensor in load_file(str(shelf.sdxl_file)).items()}


def _below(state: State, prefix: str) -> State:
    found = {name: tensor for name, tensor in state.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}


def _filtered(shelf: Shelf, place: Path, keep: Callable[[str], bool]) -> Path:
    state = _checkpoint(shelf)
    return _written({name: tensor for name, tensor in state.items() if keep(name)}, place)


def _written(state: State, place: Path) -> Path:
    return write_tensors(place / "model.safetensors", state)


def _pickled(shelf: Shelf, file: Path) -> Path:
    torch.save({"state_dict": _checkpoint(shelf)}, file)
    return file

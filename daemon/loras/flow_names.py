"""Under which names LoRA files know the modules of FLUX, Chroma and Z-Image transformers.

Those are diffusers' paths, and those of the authors (Black Forest Labs' flux, Chroma's, and
Tongyi's Z-Image), in which q, k and v are one module, and which kohya's scripts, ComfyUI and most
trainers write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daemon.loras.places import Places, halves_swapped, stacked, whole

_QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
_TEXT_QKV = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
_DOUBLE = {
    "img_attn.qkv": _QKV,
    "img_attn.proj": ("attn.to_out.0",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_attn.qkv": _TEXT_QKV,
    "txt_attn.proj": ("attn.to_add_out",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "txt_mod.lin": ("norm1_context.linear",),
    # XLabs' trainer: the picture's attention is 1, the text's 2.
    "qkv_lora1": _QKV,
    "proj_lora1": ("attn.to_out.0",),
    "qkv_lora2": _TEXT_QKV,
    "proj_lora2": ("attn.to_add_out",),
}
_SINGLE = {
    "linear1": (*_QKV, "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation.lin": ("norm.linear",),
    "qkv": _QKV,
}
_FLUX = {
    "img_in": ("x_embedder",),
    "txt_in": ("context_embedder",),
    "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "time_in.out_layer": ("time_text_embed.timestep_embedder.linear_2",),
    "vector_in.in_layer": ("time_text_embed.text_embedder.linear_1",),
    "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
    "guidance_in.in_layer": ("time_text_embed.guidance_embedder.linear_1",),
    "guidance_in.out_layer": ("time_text_embed.guidance_embedder.linear_2",),
    "final_layer.linear": ("proj_out",),
}
_SHIFT_AND_SCALE = ("final_layer.adaLN_modulation.1", "norm_out.linear")
_ZIMAGE = {
    "attention.qkv": ("attention.to_q", "attention.to_k", "attention.to_v"),
    "attention.out": ("attention.to_out.0",),
}
_ZIMAGE_ENDS = {
    "x_embedder": ("all_x_embedder.2-1",),
    "final_layer.linear": ("all_final_layer.2-1.linear",),
    "final_layer.adaLN_modulation.1": ("all_final_layer.2-1.adaLN_modulation.1",),
}


def flux_names(rows: Mapping[str, int]) -> dict[str, Places]:
    """What each name, with underscores, stands for in a FLUX or Chroma transformer.

    `rows` has the rows of each of its modules, by path.
    """
    names = _own_names(rows)
    names |= _fused("double_blocks", "transformer_blocks", _DOUBLE, rows)
    names |= _fused("single_blocks", "single_transformer_blocks", _SINGLE, rows)
    names |= _ends(_FLUX, rows)
    # Chroma's approximator, whose layers have other names within.
    for path, count in rows.items():
        if path.startswith("distilled_guidance_layer."):
            original = path.replace("linear_1", "in_layer").replace("linear_2", "out_layer")
            names[_underscored(original)] = whole(path, count)
    original, path = _SHIFT_AND_SCALE
    if path in rows:
        names[_underscored(original)] = halves_swapped(path, rows[path])
    return names


def zimage_names(rows: Mapping[str, int]) -> dict[str, Places]:
    """What each name, with underscores, stands for in a Z-Image transformer, as above."""
    names = _own_names(rows)
    for blocks in ("layers", "noise_refiner", "context_refiner"):
        names |= _fused(blocks, blocks, _ZIMAGE, rows)
    return names | _ends(_ZIMAGE_ENDS, rows)


def _own_names(rows: Mapping[str, int]) -> dict[str, Places]:
    names = {}
    for path, count in rows.items():
        # Some trainers leave out the index of an attention's output.
        for name in (path, path.removesuffix(".0")):
            names[_underscored(name)] = whole(path, count)
    return names


def _fused(
    theirs: str, ours: str, modules: Mapping[str, tuple[str, ...]], rows: Mapping[str, int]
) -> dict[str, Places]:
    names = {}
    for block in _blocks(ours, rows):
        for name, parts in modules.items():
            paths = tuple(f"{ours}.{block}.{part}" for part in parts)
            if all(path in rows for path in paths):
                names[_underscored(f"{theirs}.{block}.{name}")] = stacked(paths, dict(rows))
    return names


def _ends(modules: Mapping[str, tuple[str, ...]], rows: Mapping[str, int]) -> dict[str, Places]:
    return {
        _underscored(name): stacked(paths, dict(rows))
        for name, paths in modules.items()
        if all(path in rows for path in paths)
    }


def _blocks(prefix: str, paths: Iterable[str]) -> list[str]:
    """The numbers of the blocks below `prefix`."""
    found = (path.split(".")[1] for path in paths if path.startswith(f"{prefix}."))
    return list(dict.fromkeys(found))


def _underscored(name: str) -> str:
    return name.replace(".", "_")

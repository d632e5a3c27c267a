"""A transformer quantised to GGUF, as the converters for ComfyUI write it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from tests.models.original_files import transformer

BLOCK = 32


def save_transformer_gguf(folder: Path, file: Path, *, architecture: str = "flux") -> Path:
    """Write the transformer in Q8_0, vectors in float32, under the original names. Needs gguf."""
    gguf = importlib.import_module("gguf")
    q8 = gguf.GGMLQuantizationType.Q8_0
    writer = gguf.GGUFWriter(str(file), architecture)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for name, tensor in transformer(folder).items():
        numbers = tensor.float().numpy()
        if tensor.dim() == 2 and tensor.shape[1] % BLOCK == 0:
            writer.add_tensor(name, gguf.quants.quantize(numbers, q8), raw_dtype=q8)
        else:
            writer.add_tensor(name, numbers)
    _finish(writer)
    return file


def save_llama_gguf(file: Path) -> Path:
    """Write the beginning of a language model, which is what most GGUF files are. Needs gguf."""
    gguf = importlib.import_module("gguf")
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(64)
    for name, shape in (
        ("token_embd.weight", (64, BLOCK)),
        ("blk.0.attn_q.weight", (BLOCK, BLOCK)),
    ):
        writer.add_tensor(name, torch.zeros(shape).numpy())
    _finish(writer)
    return file


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

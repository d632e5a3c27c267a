"""The tokenizers of a pipeline: CLIP's from the vocabulary that ships with genzo, others borrowed.

CLIP's vocabulary is a list of merges (OpenAI, as open_clip distributes it, MIT licence): the 256
bytes, each also as the end of a word, then one token for each merge, then the two marks.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from daemon import libraries
from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.weights.layouts import Tokenizer

CLIP_TOKENS = 49_408
_MERGES = CLIP_TOKENS - 512 - 2
_MARKS = ("<|startoftext|>", "<|endoftext|>")
_FILES = ("tokenizer.json", "vocab.json", "spiece.model")


def open_tokenizer(spec: ModelSpec, tokenizer: Tokenizer, rows: int) -> Any:
    """The tokenizer of a pipeline whose encoder knows `rows` tokens.

    Taken from `tokenizer`, else from `config`, else from a text encoder's folder; CLIP's is made
    where none of these has one. Raises ModelError naming what is missing.
    """
    for place in (spec.tokenizer, spec.config, spec.text_encoder, spec.text_encoder_2):
        folder = _folder(place, tokenizer.name) if place else None
        if folder is not None:
            return _read(spec, folder, tokenizer.class_name)
    if not tokenizer.is_clip:
        raise ModelError(
            f"model {spec.name}: its {tokenizer.name} is missing, and no weights file holds one; "
            f"name a folder with one of {', '.join(_FILES)}, or a model to borrow it from, as "
            "`tokenizer`"
        )
    if rows != CLIP_TOKENS:
        raise ModelError(
            f"model {spec.name}: its text encoder knows {rows} tokens, CLIP's vocabulary has "
            f"{CLIP_TOKENS}; name a diffusers folder with its own tokenizers as `config`"
        )
    # The second encoder of SDXL pads with "!", which is token 0.
    return _clip_tokenizer("!" if tokenizer.name == "tokenizer_2" else _MARKS[1])


def _folder(place: Path, name: str) -> Path | None:
    for folder in (place / name, place / "tokenizer", place):
        if any((folder / file).is_file() for file in _FILES):
            return folder
    return None


def _read(spec: ModelSpec, folder: Path, class_name: str) -> Any:
    transformers = libraries.transformers()
    try:
        return getattr(transformers, class_name).from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        # Whatever the library at fault raises.
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {spec.name}: cannot read the tokenizer in {folder} "
            f"({type(error).__name__}: {reason})"
        ) from error


def _clip_tokenizer(pad_token: str) -> Any:
    transformers = libraries.transformers()
    vocabulary, merges = _clip_vocabulary()
    return transformers.CLIPTokenizer(
        vocab=dict(vocabulary), merges=list(merges), pad_token=pad_token, model_max_length=77
    )


@cache
def _clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    packed = (files("daemon") / "weights" / "clip" / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").split("\n")[1 : _MERGES + 1]
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    characters = _byte_characters()
    tokens = [*characters, *(f"{c}</w>" for c in characters), *map("".join, merges), *_MARKS]
    return {token: number for number, token in enumerate(tokens)}, merges


def _byte_characters() -> list[str]:
    """A printable character for each byte, as GPT-2's byte-level BPE numbers them.

    Printable Latin-1 stands for itself, and first; the rest follows from U+0100 on.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(0x100 + n) for n in range(len(rest))]

"""The tokenizers: byte-level BPE in CLIP's form, learned from captions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from daemon import libraries
from daemon.embedded.recipe.scenes import scene

PADDING = {"tokenizer": "<|endoftext|>", "tokenizer_2": "!"}
"""As SDXL pads its two encoders."""

UNSHOWN = (
    "pixelart pixel art sketch blueprint style outline watercolor cartoon dog bird person man "
    "woman face city street forest river lake beach space planet robot dragon castle portrait of "
    "the in on with a an and at by to is are very dark light bright low blurry ugly worst bad "
    "cropped text watermark realistic photo render no not one six seven round cyan grey golden "
    "silver colorful"
)
"""Words that people try although no scene shows them: one token each, not letter by letter."""


def learn_tokenizers(folder: Path, captions: int = 6000) -> None:
    """Write `tokenizer` and `tokenizer_2` into the folder; the same captions give the same."""
    words = Counter(_words(scene(seed).caption for seed in range(captions)))
    for word in UNSHOWN.split():
        words[word] += 3
    vocabulary, merges = learn_merges(words)
    for name, padding in PADDING.items():
        tokenizer = libraries.transformers().CLIPTokenizer(
            vocab=vocabulary, merges=merges, pad_token=padding, model_max_length=77
        )
        tokenizer.save_pretrained(folder / name)


def learn_merges(words: Counter[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Token ids in CLIP's order (bytes, bytes that end a word, merges, start, end), and the merges.

    Byte pair encoding after Sennrich et al. 2016 (arXiv:1508.07909): the most frequent pair is
    merged until none occurs twice; of equally frequent ones the first in the alphabet.
    """
    pieces = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter({("", ""): 1})
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        pieces = {word: _merged(parts, best) for word, parts in pieces.items()}
    alphabet = _bytes()
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    tokens += dict.fromkeys(left + right for left, right in merges)
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, merges


def open_tokenizers(folder: Path) -> tuple[Any, Any]:
    one, two = (
        libraries.transformers().CLIPTokenizer.from_pretrained(folder / name) for name in PADDING
    )
    return one, two


def _words(captions: Iterable[str]) -> Iterable[str]:
    for caption in captions:
        yield from re.findall(r"[a-z]+", caption.lower())


def _merged(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


def _bytes() -> list[str]:
    """A printable character for each byte, as in GPT-2's table."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + place) for place in range(len(hidden))]

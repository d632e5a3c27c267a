"""Tokenizers that know every byte, a few words, and nothing else; none needs a file."""

from __future__ import annotations

import importlib
from typing import Any

CLIP_SPECIAL = ("<|startoftext|>", "<|endoftext|>")
QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")

_CLIP_MERGES = [("c", "a"), ("ca", "t</w>"), ("r", "e"), ("re", "d</w>")]
_QWEN_MERGES = [("c", "a"), ("ca", "t"), ("r", "e"), ("re", "d")]
_QWEN_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def clip_vocabulary() -> dict[str, int]:
    """The tokens of the CLIP tokenizers, the special ones last as in the real vocabulary."""
    characters = _byte_characters()
    ends = [f"{character}</w>" for character in characters]
    return _numbered(characters + ends + _merged(_CLIP_MERGES) + list(CLIP_SPECIAL))


def clip_tokenizer(pad_token: str = "<|endoftext|>") -> Any:
    """A CLIPTokenizer; SDXL's second one pads with "!"."""
    transformers = importlib.import_module("transformers")
    return transformers.CLIPTokenizer(
        vocab=clip_vocabulary(), merges=_CLIP_MERGES, pad_token=pad_token, model_max_length=77
    )


def t5_tokenizer() -> Any:
    """A T5Tokenizer that knows printable ASCII; its vocabulary has 100 tokens or fewer."""
    transformers = importlib.import_module("transformers")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(chr(code), -3.0) for code in range(33, 127)]
    return transformers.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def qwen_tokenizer() -> Any:
    """A Qwen2Tokenizer with the chat template that Z-Image asks for."""
    transformers = importlib.import_module("transformers")
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=_numbered(_byte_characters() + _merged(_QWEN_MERGES) + list(QWEN_SPECIAL)),
        merges=_QWEN_MERGES,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(QWEN_SPECIAL[1:]),
    )
    tokenizer.chat_template = _QWEN_CHAT
    return tokenizer


def _byte_characters() -> list[str]:
    library = importlib.import_module("tokenizers")
    return sorted(library.pre_tokenizers.ByteLevel.alphabet())


def _merged(merges: list[tuple[str, str]]) -> list[str]:
    return [left + right for left, right in merges]


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}

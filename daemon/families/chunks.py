"""Prompts of any length for text encoders that take 77 tokens at once.

A prompt is cut into chunks of 75 tokens, each between a start and an end token, as A1111 does:
where a chunk would end within a phrase, and a comma stands among its last 20 tokens, it ends
behind the comma; and where the prompt says BREAK. The rest of a chunk is padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from daemon.errors import RenderError
from daemon.families.weighting import Section

CHUNK_TOKENS = 75
BACKTRACK_TOKENS = 20
MAX_CHUNKS = 160
"""12,000 tokens: more than 20,000 characters of words make. Without an end, 20,000 characters of
BREAK would keep the encoders busy for minutes."""

_COMMA = ",</w>"


class Tokenizer(Protocol):
    """CLIP's, of transformers."""

    bos_token_id: int
    eos_token_id: int
    pad_token_id: int

    def get_vocab(self) -> dict[str, int]: ...
    def __call__(
        self, text: list[str], *, add_special_tokens: bool
    ) -> Mapping[str, list[list[int]]]: ...


class Token(NamedTuple):
    id: int
    weight: float


class Chunk(NamedTuple):
    """What an encoder reads at once: 77 tokens, of which the start, end and padding weigh 1."""

    tokens: tuple[Token, ...]

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def weights(self) -> list[float]:
        return [token.weight for token in self.tokens]


class Chunker:
    """Cuts prompts for the text encoder whose tokenizer this is."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._comma = tokenizer.get_vocab().get(_COMMA)
        self.empty = self._framed([])

    def cut(self, sections: Sequence[Section]) -> list[Chunk]:
        """The chunks of a prompt, of which there is at least one.

        Each section begins a new one; a last section of nothing makes none. Raises RenderError
        where there would be more than MAX_CHUNKS.
        """
        wanted = [self._tokens(section) for section in sections]
        if len(wanted) > 1 and not wanted[-1]:
            wanted.pop()
        chunks = []
        for tokens in wanted:
            for chunk in self._chunks(tokens):
                chunks.append(chunk)
                if len(chunks) > MAX_CHUNKS:
                    raise RenderError(
                        f"a prompt takes more than {MAX_CHUNKS} chunks of {CHUNK_TOKENS} tokens; "
                        "shorten it, or say BREAK less often"
                    )
        return chunks

    def _tokens(self, section: Section) -> list[Token]:
        if not section:
            return []
        texts = [piece.text for piece in section]
        ids = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [
            Token(token, piece.weight)
            for piece, tokens in zip(section, ids, strict=True)
            for token in tokens
        ]

    def _chunks(self, tokens: list[Token]) -> Iterator[Chunk]:
        end = self._end(tokens, 0)
        yield self._framed(tokens[:end])
        while end < len(tokens):
            start, end = end, self._end(tokens, end)
            yield self._framed(tokens[start:end])

    def _end(self, tokens: list[Token], start: int) -> int:
        full = start + CHUNK_TOKENS
        if len(tokens) <= full:
            return len(tokens)
        if tokens[full].id != self._comma:
            for index in range(full - 1, full - BACKTRACK_TOKENS - 1, -1):
                if tokens[index].id == self._comma:
                    return index + 1
        return full

    def _framed(self, tokens: list[Token]) -> Chunk:
        tokenizer = self._tokenizer
        padding = [Token(tokenizer.pad_token_id, 1.0)] * (CHUNK_TOKENS - len(tokens))
        start, end = Token(tokenizer.bos_token_id, 1.0), Token(tokenizer.eos_token_id, 1.0)
        return Chunk((start, *tokens, end, *padding))

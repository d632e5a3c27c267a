"""Prompts are cut into chunks of 75 tokens where A1111 cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import RenderError
from daemon.families.chunks import MAX_CHUNKS, Chunk, Chunker
from daemon.families.weighting import parse

BOS, EOS, PAD, COMMA = 1, 2, 3, 4


class Words:
    """A tokenizer of one token a word; a word is its own number, a comma is COMMA."""

    bos_token_id = BOS
    eos_token_id = EOS
    pad_token_id = PAD

    def get_vocab(self) -> dict[str, int]:
        return {",</w>": COMMA}

    def __call__(self, text: list[str], *, add_special_tokens: bool) -> dict[str, list[list[int]]]:
        assert not add_special_tokens
        return {
            "input_ids": [[_id(word) for word in one.replace(")", " ").split()] for one in text]
        }


def _id(word: str) -> int:
    return COMMA if word == "," else int(word)


def words(first: int, last: int) -> str:
    return " ".join(str(number) for number in range(first, last + 1))


def cut(text: str) -> list[Chunk]:
    return Chunker(Words()).cut(parse(text).sections)


def contents(text: str) -> list[list[int]]:
    """The tokens of each chunk without its frame, which is checked."""
    found = []
    for chunk in cut(text):
        assert len(chunk.ids) == len(chunk.weights) == 77
        end = chunk.ids.index(EOS)
        assert chunk.ids[0] == BOS
        assert chunk.ids[end + 1 :] == [PAD] * (76 - end)
        found.append(chunk.ids[1:end])
    return found


def test_an_empty_prompt_is_one_empty_chunk() -> None:
    assert contents("") == contents("  ") == [[]]


@pytest.mark.parametrize(
    ("tokens", "sizes"),
    [(1, [1]), (75, [75]), (76, [75, 1]), (150, [75, 75]), (151, [75, 75, 1]), (300, [75] * 4)],
)
def test_a_chunk_holds_75_tokens(tokens: int, sizes: list[int]) -> None:
    chunks = contents(words(10, 9 + tokens))
    assert [len(chunk) for chunk in chunks] == sizes
    assert [token for chunk in chunks for token in chunk] == list(range(10, 10 + tokens))


@pytest.mark.parametrize(
    ("before", "size"),
    [
        (54, 75),  # its comma is the 21st from the end
        (55, 56),
        (60, 61),
        (74, 75),
        (75, 75),  # the comma itself begins the next
    ],
)
def test_a_chunk_ends_behind_a_comma_among_its_last_20_tokens(before: int, size: int) -> None:
    text = f"{words(10, 9 + before)} , {words(200, 260)}"
    assert len(contents(text)[0]) == size


def test_a_prompt_that_fits_is_not_cut_at_a_comma() -> None:
    assert len(contents(f"{words(10, 69)} , {words(200, 213)}")) == 1


def test_the_last_of_several_commas_counts() -> None:
    text = f"{words(10, 67)} , {words(100, 104)} , {words(200, 260)}"
    assert contents(text)[0][-1] == COMMA
    assert len(contents(text)[0]) == 65


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("10 BREAK 11", [[10], [11]]),
        ("BREAK 10", [[], [10]]),
        ("10 BREAK", [[10]]),
        ("10 BREAK ( )", [[10]]),
        ("BREAK", [[]]),
        ("10 BREAK BREAK 11", [[10], [], [11]]),
        (f"{words(10, 84)} BREAK 11", [list(range(10, 85)), [11]]),
    ],
)
def test_break_pads_the_chunk(text: str, chunks: list[list[int]]) -> None:
    assert contents(text) == chunks


def test_each_token_has_the_weight_of_its_piece_and_the_frame_weighs_1() -> None:
    (chunk,) = cut("10 (11 12:1.5) [13]")
    assert chunk.weights[:6] == [1.0, 1.0, 1.5, 1.5, 1 / 1.1, 1.0]
    assert set(chunk.weights[6:]) == {1.0}


def test_weights_go_with_their_tokens_into_the_next_chunk() -> None:
    _, second = cut(f"({words(10, 69)} , {words(100, 120)}:2)")
    assert second.ids[1:22] == list(range(100, 121))
    assert second.weights[1:22] == [2.0] * 21


def test_a_prompt_without_end_is_refused() -> None:
    assert len(cut("10 BREAK " * MAX_CHUNKS)) == MAX_CHUNKS
    with pytest.raises(RenderError, match=f"more than {MAX_CHUNKS} chunks of 75 tokens"):
        cut("BREAK " * (MAX_CHUNKS + 2))
    with pytest.raises(RenderError, match="shorten it"):
        cut(words(10, 10 + 75 * MAX_CHUNKS))


@given(st.lists(st.sampled_from(["9", ",", "BREAK", "(8", ")"]), max_size=400))
def test_no_token_is_lost(parts: list[str]) -> None:
    prompt = parse(" ".join(parts))
    chunks = Chunker(Words()).cut(prompt.sections)
    framed = sum(chunk.ids.index(EOS) - 1 for chunk in chunks)
    text = " ".join(piece.text for section in prompt.sections for piece in section)
    assert framed == len(text.replace(")", " ").split())

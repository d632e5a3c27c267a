from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from daemon.embedded.recipe.vocabulary import learn_merges, learn_tokenizers, open_tokenizers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizers")
    learn_tokenizers(made, captions=200)
    return made


def test_the_most_frequent_pair_is_merged_first() -> None:
    tokens, merges = learn_merges(Counter({"aab": 5, "ab": 1}))
    assert merges[0] == ("a", "b</w>")
    assert list(tokens)[-2:] == ["<|startoftext|>", "<|endoftext|>"]


def test_common_words_are_one_token_and_strange_ones_their_letters(folder: Path) -> None:
    tokenizer, _ = open_tokenizers(folder)
    assert tokenizer.tokenize("a red circle") == ["a</w>", "red</w>", "circle</w>"]
    assert len(tokenizer.tokenize("xyz 漢字 🎈")) > 4
    assert tokenizer.unk_token_id not in tokenizer("qwq 漢").input_ids[1:-1]


def test_each_is_padded_as_sdxl_pads_it(folder: Path) -> None:
    one, two = (
        tokenizer("red", padding="max_length", max_length=77).input_ids
        for tokenizer in open_tokenizers(folder)
    )
    assert one[3:] == [len(open_tokenizers(folder)[0]) - 1] * 74
    assert two[3:] == [0] * 74

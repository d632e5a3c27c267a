"""What of a prompt can be searched for, and what a search asks for, as terms of the index.

Whoever searches types words, or the beginnings of words, and in Japanese any few characters.
So a word (`Cathedral`) has each of its beginnings as a term (`c`, `ca`, … `cathedral`), and text
in a script that sets no spaces (`夕焼けの街`) each run of one, two and three characters. A query
then needs one look-up a word, whatever the word's length; a longer run of characters is looked
for by all its threes. SQLite's own trigrams would find `cat` in `intricate`, and nothing at all
for 猫 or 夕焼.

Terms hold letters and digits only: nothing of a user's text is ever syntax to FTS5.
"""

from __future__ import annotations

import re
import unicodedata

MAX_QUERY_TERMS = 32
"""So many terms of a query count; those behind them do not narrow it any more."""

_MAX_WORD_CHARS = 16
_GRAM = 3
_MODEL = "\ue000"  # for private use: in no word

# Thai to Myanmar and Khmer; CJK with kana and hangul; symbols that stand for themselves, emoji.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u2e80-\u2fdf\u3005-\u3007\u3031-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001f300-\U0001faff\U00020000-\U0003ffff"
)
_RUNS = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|\d+|[^\W\d_{_UNSPACED}]+")
_ACCENTS = re.compile("[\u0300-\u036f]")


def terms_of(text: str) -> set[str]:
    """Every term under which `text` is found."""
    found: set[str] = set()
    for match in _RUNS.finditer(_folded(text)):
        run = match[0]
        if match["unspaced"]:
            for size in range(1, _GRAM + 1):
                found.update(_grams(run, size))
        else:
            found.update(run[:size] for size in range(1, min(len(run), _MAX_WORD_CHARS) + 1))
    return found


def query_terms(text: str) -> list[str]:
    """The terms that a text must all have to be found by the query `text`; none finds nothing."""
    wanted: dict[str, None] = {}
    for match in _RUNS.finditer(_folded(text)):
        run = match[0]
        if match["unspaced"]:
            wanted.update(dict.fromkeys(_grams(run, min(len(run), _GRAM))))
        else:
            wanted[run[:_MAX_WORD_CHARS]] = None
    return list(wanted)[:MAX_QUERY_TERMS]


def model_term(model: int) -> str:
    """The term of the pictures of one model, by its number."""
    return f"{_MODEL}{model}"


def _grams(run: str, size: int) -> list[str]:
    return [run[start : start + size] for start in range(len(run) - size + 1)]


def _folded(text: str) -> str:
    """`text` without the differences of case, width and accents; kana keep their marks."""
    if text.isascii():
        return text.lower()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFKC", bare).casefold()

r"""A1111's prompt weights: which words of a prompt count how much, and where its chunks break.

    prompt = { part }
    part   = "(" prompt ")"              weighs 1.1 times as much
           | "(" prompt ":" number ")"   weighs as many times as much as the number says
           | "[" prompt "]"              weighs 1.1 times less
           | "\(" | "\)" | "\[" | "\]"   the bracket itself
           | "BREAK"                     as a word of its own: what follows is a new chunk
           | text

Brackets multiply. One that is never closed reaches to the end; one that was never opened is
text, and so is its number. Round and square brackets do not know of each other: in `(a [b) c]`
b has both weights. All that is A1111's way. Where we depart from it: a backslash before anything
but a bracket is text, `1.2.3` is no number, BREAK breaks within brackets too, and weights are
held within ±10, so that no row of brackets overflows. Scheduling `[a:b:0.5]` and alternation
`[a|b]`, which A1111 knows too, are text, brackets and all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

EMPHASIS = 1.1
MAX_WEIGHT = 10.0

# Possessive where a number or a space could be read in two ways: hostile prompts are long.
_MARK = re.compile(
    r"\\[()\[\]] | [()\[\]|] | :\s*+ (?P<number> [+-]?+ (?:[0-9]++(?:\.[0-9]*+)?+ | \.[0-9]++) )"
    r" \s*+ [)\]]",
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b\s*+")
_OPENS = {")": "(", "]": "["}
_FACTORS = {"(": EMPHASIS, "[": 1 / EMPHASIS}
_SHOWN_CHARS = 60


class Piece(NamedTuple):
    """Text of one weight."""

    text: str
    weight: float


Section = tuple[Piece, ...]
"""What stands between two BREAKs; neighbours differ in weight, none is empty."""


@dataclass(frozen=True, slots=True)
class WeightedPrompt:
    """A prompt in sections, of which there is at least one, and sentences on what it lost."""

    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    @property
    def plain(self) -> str | None:
        """The text, if nothing in it weighs more or less or breaks; else None."""
        match self.sections:
            case ((),):
                return ""
            case ((Piece(text, 1.0),),):
                return text
        return None


def parse(text: str) -> WeightedPrompt:
    """Read a prompt. Every text is one; the time is linear in its length."""
    parser = _Parser(text)
    sections = tuple(_sections(parser.runs()))
    return WeightedPrompt(sections, tuple(parser.notes.values()))


class _Parser:
    """Matches the brackets of a text at once; `runs` weighs what stands between the marks."""

    def __init__(self, text: str) -> None:
        self.notes: dict[str, str] = {}
        self._text = text
        self._marks = list(_MARK.finditer(text))
        # By the index of the mark; those in neither are text.
        self._factors: dict[int, float] = {}
        self._closed: dict[int, str] = {}
        self._match()

    def runs(self) -> Iterator[Piece]:
        """The text in order, in runs of one weight that may be empty."""
        weights = {"(": [1.0], "[": [1.0]}
        end = 0
        for index, mark in enumerate(self._marks):
            weight = self._held(weights["("][-1] * weights["["][-1])
            yield Piece(self._text[end : mark.start()], weight)
            end = mark.end()
            if index in self._factors:
                stack = weights[mark[0]]
                stack.append(self._held(stack[-1] * self._factors[index]))
            elif index in self._closed:
                weights[self._closed[index]].pop()
            else:
                yield Piece(mark[0].removeprefix("\\"), weight)
        yield Piece(self._text[end:], self._held(weights["("][-1] * weights["["][-1]))

    def _match(self) -> None:
        opened: dict[str, list[int]] = {"(": [], "[": []}
        alternating: set[int] = set()
        for index, mark in enumerate(self._marks):
            word = mark[0]
            if word in _FACTORS:
                opened[word].append(index)
                self._factors[index] = _FACTORS[word]
            elif word == "|":
                alternating.update(opened["["][-1:])
            elif not word.startswith("\\") and (stack := opened[_OPENS[word[-1]]]):
                start = stack.pop()
                self._close(start, index, alternates=start in alternating)

    def _close(self, start: int, end: int, *, alternates: bool) -> None:
        bracket, number = self._marks[start][0], self._marks[end]["number"]
        if bracket == "[" and (number or alternates):
            del self._factors[start]
            kind = "alternation" if alternates else "scheduling"
            self.notes.setdefault(
                "plain",
                f"{self._shown(start, end)} is prompt {kind}, which is not supported; it is taken "
                "as plain text",
            )
            return
        if number:
            self._factors[start] = float(number)
        self._closed[end] = bracket

    def _held(self, weight: float) -> float:
        if abs(weight) <= MAX_WEIGHT:
            return weight
        self.notes.setdefault("held", f"weights beyond {MAX_WEIGHT:g} are taken as {MAX_WEIGHT:g}")
        return MAX_WEIGHT if weight > 0 else -MAX_WEIGHT

    def _shown(self, start: int, end: int) -> str:
        shown = self._text[self._marks[start].start() : self._marks[end].end()]
        return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"


def _sections(runs: Iterable[Piece]) -> Iterator[Section]:
    section: list[Piece] = []
    for text, weight in runs:
        # The spaces around a BREAK go with it.
        *ended, last = _BREAK.split(text)
        for part in ended:
            section.append(Piece(part.rstrip(), weight))
            yield _joined(section)
            section = []
        section.append(Piece(last, weight))
    yield _joined(section)


def _joined(pieces: list[Piece]) -> Section:
    filled = (piece for piece in pieces if piece.text)
    return tuple(
        Piece("".join(piece.text for piece in group), weight)
        for weight, group in groupby(filled, key=itemgetter(1))
    )

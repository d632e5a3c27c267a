"""Prompts are read as A1111 reads them, whatever they say."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.families.weighting import MAX_WEIGHT, parse

Runs = list[tuple[str, float]]


def sections_of(text: str) -> list[Runs]:
    return [
        [(piece.text, round(piece.weight, 6)) for piece in section]
        for section in parse(text).sections
    ]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("", []),
        ("a red cat", [("a red cat", 1.0)]),
        ("a (red) cat", [("a ", 1.0), ("red", 1.1), (" cat", 1.0)]),
        ("a [red] cat", [("a ", 1.0), ("red", 0.909091), (" cat", 1.0)]),
        ("(red:1.3)", [("red", 1.3)]),
        ("(red: .5 )", [("red", 0.5)]),
        ("(red:2.)", [("red", 2.0)]),
        ("(red:-1)", [("red", -1.0)]),
        ("(red:+1.2)", [("red", 1.2)]),
        ("(red:0)", [("red", 0.0)]),
        ("((red))", [("red", 1.21)]),
        ("((red:2) cat)", [("red", 2.2), (" cat", 1.1)]),
        ("[(red:2)]", [("red", 1.818182)]),
        ("([red])", [("red", 1.0)]),
        ("(one)(two)", [("onetwo", 1.1)]),
        ("(red:1.0) cat", [("red cat", 1.0)]),
        ("(a, b: c:1.5)", [("a, b: c", 1.5)]),
        # What is never closed reaches to the end.
        ("a (red cat", [("a ", 1.0), ("red cat", 1.1)]),
        ("a [red cat", [("a ", 1.0), ("red cat", 0.909091)]),
        ("((a) b", [("a", 1.21), (" b", 1.1)]),
        # What was never opened is text.
        ("a) b] c", [("a) b] c", 1.0)]),
        ("red:1.3)", [("red:1.3)", 1.0)]),
        ("(a)) b", [("a", 1.1), (") b", 1.0)]),
        # The two kinds do not know of each other.
        ("(a [b) c]", [("a ", 1.1), ("b", 1.0), (" c", 0.909091)]),
        # No numbers, so the brackets weigh what they always do.
        ("(red:1.2.3)", [("red:1.2.3", 1.1)]),
        ("(red:.)", [("red:.", 1.1)]),
        ("(red:)", [("red:", 1.1)]),
        ("(red:1e3)", [("red:1e3", 1.1)]),
        ("(red:nan)", [("red:nan", 1.1)]),
        # Escapes.
        (r"\(red\)", [("(red)", 1.0)]),
        (r"\[red\]", [("[red]", 1.0)]),
        (r"(fate \(series\):1.2)", [("fate (series)", 1.2)]),
        (r"a\b \\ \o/", [(r"a\b \\ \o/", 1.0)]),
    ],
)
def test_brackets_weigh_as_in_a1111(text: str, runs: Runs) -> None:
    assert sections_of(text) == [runs]
    assert not parse(text).notes


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("a BREAK b", [[("a", 1.0)], [("b", 1.0)]]),
        ("a\nBREAK\n b", [[("a", 1.0)], [("b", 1.0)]]),
        ("BREAK a", [[], [("a", 1.0)]]),
        ("a BREAK ", [[("a", 1.0)], []]),
        ("a BREAK BREAK b", [[("a", 1.0)], [], [("b", 1.0)]]),
        ("a,BREAK,b", [[("a,", 1.0)], [(",b", 1.0)]]),
        ("(a BREAK b:1.2)", [[("a", 1.2)], [("b", 1.2)]]),
        ("x(BREAK)y", [[("x", 1.0)], [("y", 1.0)]]),
        ("BREAKING break my_BREAK", [[("BREAKING break my_BREAK", 1.0)]]),
    ],
)
def test_break_begins_a_new_section(text: str, sections: list[Runs]) -> None:
    assert sections_of(text) == sections


@pytest.mark.parametrize(
    ("text", "runs", "kind"),
    [
        ("a [red:blue:0.5] cat", [("a [red:blue:0.5] cat", 1.0)], "scheduling"),
        ("[red:0.5]", [("[red:0.5]", 1.0)], "scheduling"),
        ("[red::10]", [("[red::10]", 1.0)], "scheduling"),
        ("[cow|dog]", [("[cow|dog]", 1.0)], "alternation"),
        ("[cow|dog|]", [("[cow|dog|]", 1.0)], "alternation"),
        ("([cow|dog]:1.5)", [("[cow|dog]", 1.5)], "alternation"),
        ("[(red:2):blue:3]", [("[", 1.0), ("red", 2.0), (":blue:3]", 1.0)], "scheduling"),
    ],
)
def test_scheduling_and_alternation_are_text_and_noted(text: str, runs: Runs, kind: str) -> None:
    assert sections_of(text) == [runs]
    (note,) = parse(text).notes
    assert f"is prompt {kind}, which is not supported" in note


def test_of_many_schedules_the_first_is_noted_and_shortened() -> None:
    (note,) = parse(f"[{'a' * 1000}|b] [c|d]").notes
    assert note.startswith(f"[{'a' * 59}… is prompt alternation")


@pytest.mark.parametrize("text", ["a|b", "(a|b)", r"\[a|b\]", "[a]|b", "a:0.5", "[a:b]"])
def test_what_only_looks_like_it_is_not_noted(text: str) -> None:
    assert not parse(text).notes


@pytest.mark.parametrize(
    ("text", "weight"), [("(a:15)", 10), ("(a:-15)", -10), ("((a:5):5)", 10), ("(" * 99 + "a", 10)]
)
def test_weights_are_held_and_noted(text: str, weight: float) -> None:
    assert sections_of(text) == [[("a", weight)]]
    assert parse(text).notes == ("weights beyond 10 are taken as 10",)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", ""),
        ("a cat", "a cat"),
        (r"\(a\)", "(a)"),
        ("(a:1.0) cat", "a cat"),
        ("a (cat)", None),
        ("(cat)", None),
        ("a BREAK b", None),
    ],
)
def test_what_weighs_nothing_is_plain(text: str, plain: str | None) -> None:
    assert parse(text).plain == plain


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("(", ""),
        (")", ""),
        ("[(", ""),
        ("(a", ")"),
        ("(a", ":1.3)"),
        ("[a", "]"),
        ("[a|b]", ""),
        ("[", "|"),
        (": ", ""),
        (":", " "),
        (":", "1"),
        (":1.1.1", ""),
        ("(a:", "9"),
        (" ", ""),
        ("BREAK ", ""),
        ("\\", ""),
    ],
)
def test_hostile_prompts_take_linear_time(opening: str, closing: str) -> None:
    many = 20_000 // len(opening + closing)
    long = (20_000 - len(opening)) // len(closing or opening)
    texts = [opening * many + closing * many, opening + (closing or opening) * long]
    started = time.process_time()
    pieces = [piece for text in texts for section in parse(text).sections for piece in section]
    # 0.4 s for the slowest; what is quadratic takes several.
    assert time.process_time() - started < 3
    assert all(abs(piece.weight) <= MAX_WEIGHT for piece in pieces)


_WORDS = ["(", ")", "[", "]", "\\", ":1.3)", ":2]", "|", ":", "BREAK", "a", " ", "猫", "-9", "."]


@given(st.lists(st.sampled_from(_WORDS) | st.text()).map("".join))
def test_every_text_is_a_prompt(text: str) -> None:
    prompt = parse(text)
    assert prompt.sections
    for section in prompt.sections:
        assert all(text and abs(weight) <= MAX_WEIGHT for text, weight in section)
        assert all(a.weight != b.weight for a, b in pairwise(section))


@given(st.text().filter(lambda text: not set("()[]") & set(text) and "BREAK" not in text))
def test_a_text_without_specials_is_left_as_it_is(text: str) -> None:
    assert parse(text).plain == text
    assert not parse(text).notes

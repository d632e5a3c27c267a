"""What of a prompt is found, and by what."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpd.terms import MAX_QUERY_TERMS, model_term, query_terms, terms_of


def finds(query: str, prompt: str) -> bool:
    wanted = query_terms(query)
    return bool(wanted) and set(wanted) <= terms_of(prompt)


@pytest.mark.parametrize(
    ("query", "prompt"),
    [
        ("cat", "A Cat on a mat"),
        ("ca", "a cat"),
        ("c", "a cat"),
        ("mat cat", "a cat on a mat"),
        ("GIRL", "1girl, solo"),
        ("1girl", "1girl, solo"),
        ("blond", "long_hair, blonde"),
        ("cafe", "un café noir"),
        ("café", "un cafe noir"),
        ("москв", "Москва ночью"),
        ("ｃａｔ", "cat"),
        ("猫", "夕焼けの街と猫"),
        ("夕焼", "夕焼けの街と猫"),
        ("夕焼け", "夕焼けの街と猫"),
        ("夕焼けの街", "夕焼けの街と猫"),
        ("街と", "夕焼けの街と猫"),
        ("猫 夕焼け", "夕焼けの街と猫"),
        ("カフェ", "ｶﾌｪの窓"),
        ("한국", "아름다운 한국의 정원"),
        ("🐱", "a 🐱 here"),
        ("photorealistic", "photorealistic"),
    ],
)
def test_a_search_finds(query: str, prompt: str) -> None:
    assert finds(query, prompt)


@pytest.mark.parametrize(
    ("query", "prompt"),
    [
        ("cat", "intricate details"),
        ("at", "a cat"),
        ("cat dog", "a cat"),
        ("京東", "東京の夜"),
        ("夕焼け空", "夕焼けの街"),
        ("が", "か"),
        ("photorealist", "photorealism"),
    ],
)
def test_a_search_does_not_find(query: str, prompt: str) -> None:
    assert not finds(query, prompt)


@given(st.text(), st.text())
def test_no_text_is_syntax(prompt: str, query: str) -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute(
            "CREATE VIRTUAL TABLE t USING fts5(text, content='', detail='none', tokenize='ascii')"
        )
        text = " ".join([*terms_of(prompt), model_term(1)])
        connection.execute("INSERT INTO t (rowid, text) VALUES (1, ?)", (text,))
        terms = [*query_terms(query), model_term(1)]
        match = " ".join(f'"{term}"' for term in terms)
        rows = connection.execute("SELECT rowid FROM t WHERE t MATCH ?", (match,)).fetchall()
    assert bool(rows) == (set(query_terms(query)) <= terms_of(prompt))


@given(st.text(min_size=1))
def test_a_prompt_is_found_by_itself(prompt: str) -> None:
    assert set(query_terms(prompt)) <= terms_of(prompt)


def test_a_long_query_is_cut() -> None:
    query = " ".join(map(str, range(10_000)))
    assert query_terms(query) == list(map(str, range(MAX_QUERY_TERMS)))

"""The page in English and in Japanese."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from httpd.pages import STATIC
from tests.page.conftest import Visitor

_KEY = re.compile(r'^ {2}"?([\w.]+)"?:', re.MULTILINE)
_NAMED = re.compile(r"\{(\w+)\}")


def test_the_page_speaks_the_browsers_language(visit: Visitor) -> None:
    page = visit(locale="ja-JP")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.get_by_role("button", name="生成")).to_be_visible()
    expect(page.get_by_role("heading", name="ギャラリー")).to_be_visible()
    expect(page.locator("#form").get_by_label("プロンプト", exact=True)).to_be_visible()
    expect(page.locator("#health-text")).to_have_text("準備完了")
    page.get_by_role("grid").get_by_role("link").first.click()
    expect(page.locator("#sheet-facts")).to_contain_text("作成日時")


def test_any_other_language_is_served_in_english(visit: Visitor) -> None:
    page = visit(locale="fr-FR")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("button", name="Generate")).to_be_visible()


def test_both_tables_have_the_same_words_and_name_the_same_values() -> None:
    english, japanese = (_table(name) for name in ("english", "japanese"))
    # What a field means, English takes from the model's schema.
    assert {key for key in japanese if not key.startswith("help.")} == english.keys()
    for key, values in english.items():
        assert japanese[key] == values, key


def test_every_word_that_the_page_asks_for_is_there() -> None:
    known = _table("english")
    sources = [*(STATIC / "page").glob("*.js"), STATIC / "page/index.html"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    asked = {
        *re.findall(r'(?<!#)\bsay\("([\w.]+)"', text),
        *re.findall(r'data-(?:text|label|hint)="([\w.]+)"', text),
    }
    assert len(asked) > 60
    assert asked - known.keys() == set()


def _table(name: str) -> dict[str, set[str]]:
    """The keys of a language, each with the names of the values that its sentence takes."""
    text = (STATIC / f"page/{name}.js").read_text(encoding="utf-8")
    marks = list(_KEY.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return {
        mark[1]: set(_NAMED.findall(text[mark.end() : end]))
        for mark, end in zip(marks, ends, strict=True)
    }

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spool.problems import Problem
from spool.strict_json import MAX_BYTES, MAX_DEPTH, is_whole, parse


def _refusal(data: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        parse(data)
    return caught.value


def test_a_document_is_decoded() -> None:
    assert parse('{"a": [1, 2.5, "é", null, true]}'.encode()) == {"a": [1, 2.5, "é", None, True]}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b'{"x": {"a": 1, "b": 2, "a": 1}}', "'a' stands twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": Infinity}', "Infinity is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": -1e999}', "-1e999 is too large"),
        (b'\xef\xbb\xbf{"a": 1}', "byte 0.*byte-order mark"),
        ('{"a": 1}'.encode("utf-16"), "byte 0.*byte-order mark"),
        ('{"a": 1}'.encode("utf-16-be"), "column 1.*byte 0"),
        (b'{"a": "\xff"}', "byte 7: not valid UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "byte 7: not valid UTF-8"),
        (rb'{"a": "\ud800"}', r"lone surrogate \\ud800"),
        (rb'{"a": ["x\udfff"]}', r"lone surrogate \\udfff"),
        (rb'{"\ud83d": 1}', r"lone surrogate \\ud83d"),
        (b"[" * 100_000, f"byte {MAX_DEPTH}: nested deeper than {MAX_DEPTH}"),
        (b'{"a":' * 100_000, f"nested deeper than {MAX_DEPTH}"),
        (b'{"a": ' + b"1" * 5000 + b"}", "5000 digits"),
        (b'{"a": -' + b"1" * 401 + b"}", "digits"),
        (b'{"a": 1} {"b": 2}', r"column 10 \(byte 9\): extra data"),
        (b'{"a": 1}\n{"b": 2}', r"line 2, column 1 \(byte 9\): extra data"),
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (b"// nothing else", "column 16"),
        (b"{", "column 2"),
        (b'{"a": 1', "column 8"),
        (b"{'a': 1}", "double quotes"),
        (b'{"a": 1,}', "column"),
        (b'{"a": 01}', "column 8"),
        (b'{"a": "\x00"}', "control character"),
        (b'{"a": "\n"}', "control character"),
        (b"\x00\x00\x00", "column 1"),
        (b'{"a": /* open', "column"),
        (b"/* open", "column"),
        (b'{"a": 1} */', "extra data"),
        (b'{"a": 1} # no comment', "extra data"),
    ],
)
def test_what_is_ambiguous_or_broken_is_refused_where_it_stands(data: bytes, says: str) -> None:
    problem = _refusal(data)
    assert problem.status == 400
    with pytest.raises(Problem, match=says):
        raise problem


def test_a_document_of_the_largest_size_is_read_and_one_byte_more_is_not() -> None:
    text = b'{"a": "' + b"x" * (MAX_BYTES - 9) + b'"}'
    assert len(text) == MAX_BYTES
    assert len(parse(text)["a"]) == MAX_BYTES - 9
    problem = _refusal(text + b" ")
    assert problem.status == 413
    assert str(MAX_BYTES) in problem.detail


def test_the_deepest_document_is_read_and_one_level_more_is_not() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    _refusal(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_brackets_in_strings_and_comments_are_not_levels() -> None:
    assert parse(b'{"a": "' + b"[" * 1000 + b'"}') == {"a": "[" * 1000}
    assert parse(b"/*" + b"[" * 1000 + b'*/{"a": 1}//' + b"{" * 1000) == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1} // done',
        '// first\n{"a": 1}',
        '/* first\n second */ {"a": /* one */ 1} /**/',
        '{"a": 1 /* ** / */}',
        '{"a"://\n1}',
        '{/*"a": 2,*/"a": 1}',
        '{"a": 1}//',
        '{"a": 1 /* " */}',
        '{"a": 1 // "\n}',
    ],
)
def test_comments_are_passed_over(text: str) -> None:
    assert parse(text.encode()) == {"a": 1}


@pytest.mark.parametrize(
    "content", ["// no", "/* no */", "http://host/", "*/ /*", '\\"// no', "\\\\"]
)
def test_what_looks_like_a_comment_in_a_string_is_text(content: str) -> None:
    assert parse(f'{{"a": "{content}"}}'.encode()) == {"a": json.loads(f'"{content}"')}


def test_an_unclosed_comment_behind_a_whole_document_hides_nothing() -> None:
    assert parse(b'{"a": 1} /* open') == {"a": 1}


def test_a_comment_does_not_join_what_it_parts() -> None:
    _refusal(b'{"a": 1/**/2}')


def test_positions_stay_true_behind_comments() -> None:
    text = '/* 赤い丸 */\n// 丸\n{"a": /* 赤 */ x}'
    problem = _refusal(text.encode())
    byte = len(text[: text.index("x}")].encode())
    column = text.splitlines()[2].index("x") + 1
    assert f"line 3, column {column} (byte {byte})" in problem.detail


def test_a_surrogate_pair_is_one_character() -> None:
    assert parse(rb'{"a": "\ud83d\ude00"}') == {"a": "😀"}


@pytest.mark.parametrize(
    "unit",
    [b"/*", b'\\"', b"//\n", b"/**/", b'""', b'"\n', b"/* \n", b"[]", b"\\", b"*/"],
    ids=repr,
)
def test_hostile_text_takes_linear_time(unit: bytes) -> None:
    """Six times the text takes about six times the work; steps in n² would take 36 times."""

    def seconds(size: int) -> float:
        text = (b'{"a": "' if unit == b'\\"' else b"") + unit * (size // len(unit))
        best = math.inf
        for _ in range(5):
            began = time.thread_time()
            with pytest.raises(Problem):
                parse(text)
            best = min(best, time.thread_time() - began)
        return best

    assert seconds(120_000) < 18 * seconds(20_000) + 0.001


def test_a_megabyte_of_an_unclosed_comment_or_string_is_refused_like_any_other() -> None:
    _refusal(b"/*" * (MAX_BYTES // 2))
    _refusal(b'{"a": "' + b'\\"' * (MAX_BYTES // 2 - 8))


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(_VALUES, st.booleans())
def test_what_json_writes_is_read_back(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
@example(b'"\\ud800"')
@example(b"1" * 4400)
@example(b'{"a": 1e400}')
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        document = parse(data)
    except Problem as problem:
        json.dumps(problem.as_json()).encode()
    else:
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()


@given(st.lists(st.sampled_from(['"', "\\", "/", "*", "\n", "{", "}", "a", ":", "1", "// ", "/*"])))
def test_any_mixture_of_quotes_and_comments_is_read_or_refused(parts: list[str]) -> None:
    data = "".join(parts).encode()
    try:
        document = parse(data)
    except Problem:
        return
    json.dumps(document)


@given(st.dictionaries(st.text(), _VALUES, max_size=4))
def test_no_beginning_of_an_object_is_whole(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    assert is_whole(data)
    assert not any(is_whole(data[:end]) for end in range(len(data)))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'"{}"', b"null", b"{} {}", b"\xff", b"[" * 100_000, b'{"a": ' * 100_000]
)
def test_what_is_not_one_object_is_not_whole(data: bytes) -> None:
    assert not is_whole(data)


def test_an_object_with_comments_is_whole() -> None:
    assert is_whole(b'// a job\n{"prompt": "x"} /* end */')

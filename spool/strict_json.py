"""JSON from strangers: one document, nothing ambiguous, comments allowed.

The standard reader takes duplicate keys, NaN, lone surrogates, byte-order marks and any depth.
Each would mean something else to the next program, or crash it, so each is refused here, with
the line and column where it stands. `//` and `/* */` comments are fine: the API guide's
examples carry them.
"""

from __future__ import annotations

import json
import re
from typing import Any

from spool.problems import Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_DIGITS = 400

# A string, comments in a row, or a bracket: all that decides where comments are and how deep we
# stand. An unclosed comment runs to the end, an unclosed string to the end of its line: searching
# the close anew from each "/*" and each escaped quote would take n² steps. What is matched is
# never given back (`*+`): to remember each character for that took a hundred times its size.
_TOKEN = re.compile(
    r'"(?:[^"\\\n]++|\\.)*+"?|(?:(?://[^\n]*+|/\*.*?(?:\*/|\Z))[ \t\r\n]*+)++|[\[{]|[\]}]',
    re.DOTALL,
)
_NO_BREAK = re.compile(r"[^\n]")


class _Fault(Exception):
    """Found by a hook of the JSON reader, which knows no position."""


def parse(data: bytes) -> Any:
    """Decode `data`, UTF-8 JSON of at most MAX_BYTES with comments.

    Raises Problem (413 or 400) that names the byte, or the line and column.
    """
    if len(data) > MAX_BYTES:
        raise Problem(
            "Too large", f"the document has more than {MAX_BYTES} bytes, the limit", status=413
        )
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _malformed("byte 0: the document begins with a byte-order mark; write plain UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start}: not valid UTF-8; save it as UTF-8") from None
    if not text.strip():
        raise _malformed("byte 0: the document is empty; write one JSON object")
    bare = _without_comments(text)
    try:
        document = json.loads(
            bare,
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_float=_finite_float,
            parse_int=_short_int,
        )
    except json.JSONDecodeError as error:
        offset = len(text[: error.pos].encode())
        place = f"line {error.lineno}, column {error.colno} (byte {offset})"
        raise _malformed(f"{place}: {error.msg.lower()}; mend it there") from None
    except _Fault as fault:
        raise _malformed(str(fault)) from None
    _refuse_surrogates(document)
    return document


def is_whole(data: bytes) -> bool:
    """Whether `data` is one whole JSON object; a strict prefix of an object never is."""
    try:
        return isinstance(json.loads(_without_comments(data.decode("utf-8"))), dict)
    except (ValueError, RecursionError, Problem):
        return False


def _malformed(detail: str) -> Problem:
    return Problem("Not valid JSON", detail, status=400)


def _without_comments(text: str) -> str:
    """`text` with each comment blanked, so that positions stay true; checks the depth."""
    depth = 0
    pieces: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                offset = len(text[: token.start()].encode())
                raise _malformed(
                    f"byte {offset}: nested deeper than {MAX_DEPTH} levels; a job needs 3"
                )
        elif first in "]}":
            depth -= 1
        elif first == "/":
            pieces += text[end : token.start()], _NO_BREAK.sub(" ", token[0])
            end = token.end()
    pieces.append(text[end:])
    return "".join(pieces)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise _Fault(f"the key {key[:80]!r} stands twice in one object; leave one")
        document[key] = value
    return document


def _no_constant(name: str) -> float:
    raise _Fault(f"{name} is not JSON; write a number or null")


def _finite_float(literal: str) -> float:
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        raise _Fault(f"the number {literal[:40]} is too large; write a smaller one")
    return value


def _short_int(literal: str) -> int:
    if len(literal) > MAX_DIGITS:
        raise _Fault(f"a number has {len(literal)} digits, more than {MAX_DIGITS}")
    return int(literal)


def _refuse_surrogates(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            code = ord(value[error.start])
            raise _malformed(
                f"a string holds the lone surrogate \\u{code:04x}; write the whole character"
            ) from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_surrogates(key)
            _refuse_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item)

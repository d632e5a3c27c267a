"""What strangers wrote, as it may be quoted."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` as it may stand in a log, a JSON file or a terminal: no controls, valid UTF-8."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)

"""Tokens: what a client of genzo-httpd shows to be let in."""

from __future__ import annotations

import re
import secrets

MIN_CHARS = 32
"""Below this a token could be guessed; those that `draw` makes have 43 characters."""

_SHAPE = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)  # b64token of RFC 6750
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def draw() -> str:
    """A new token of 256 random bits, safe in a header, a URL and a configuration file."""
    return secrets.token_urlsafe(32)


def check(token: str) -> str:
    """`token` itself. Raises ValueError, which never quotes it, if it cannot serve as one."""
    if len(token) < MIN_CHARS:
        raise ValueError(
            f"a token has at least {MIN_CHARS} characters, this one has {len(token)}; "
            "make one with: genzo token"
        )
    if _SHAPE.fullmatch(token) is None:
        raise ValueError(
            "a token has letters, digits and . _ ~ + / - only, then perhaps =; "
            "make one with: genzo token"
        )
    return token


def check_name(name: str) -> str:
    """`name` itself. Raises ValueError if no token can be named so."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name[:80]!r} cannot name a token; use 1 to 64 letters, digits, dots, _ and -"
        )
    return name

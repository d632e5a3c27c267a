"""Reading a query's parameters; a fault is answered with its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from httpd.refusals import bad_parameter

if TYPE_CHECKING:
    from starlette.requests import Request

_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|z|[+-]\d{2}:\d{2})?)?",
    re.ASCII,
)
_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)


def whole_number(
    request: Request, name: str, *, default: int, least: int, most: int | None = None
) -> int:
    """The parameter `name`. Raises Problem (422) if it is no whole number from least to most."""
    text = request.query_params.get(name)
    if text is None:
        return default
    value = int(text) if _WHOLE.fullmatch(text) else None
    if value is None or value < least or (most is not None and value > most):
        span = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise bad_parameter(f"{name}: must be a whole number {span} (got {text[:40]!r})")
    return value


def text(request: Request, name: str, *, most: int) -> str | None:
    """The parameter `name`, or None. Raises Problem (422) if it is longer than `most`."""
    value = request.query_params.get(name)
    if value is not None and len(value) > most:
        raise bad_parameter(f"{name}: has {len(value)} characters, at most {most} are searched")
    return value


def matching(request: Request, name: str, pattern: str, what: str) -> str | None:
    """The parameter `name`, or None. Raises Problem (422) if it does not match `pattern`."""
    value = request.query_params.get(name)
    if value is not None and re.fullmatch(pattern, value, re.ASCII) is None:
        raise bad_parameter(f"{name}: must be {what} (got {value[:40]!r})")
    return value


def instant(request: Request, name: str, *, end_of_day: bool = False) -> int | None:
    """The parameter `name`, a date or date-time in ISO 8601, in milliseconds since 1970, or None.

    Without an offset it is UTC. A date is its first millisecond, or with `end_of_day` that of the
    day behind it. Raises Problem (422) if it is neither.
    """
    value = request.query_params.get(name)
    if value is None:
        return None
    # Who forgets to write a plus as %2B sends a space.
    match = _INSTANT.fullmatch(value.replace(" ", "+"))
    try:
        if match is None:
            raise ValueError
        at = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}")
        offset = datetime.strptime((match[3] or "Z").upper(), "%z").utcoffset() or timedelta()
    except ValueError:
        raise bad_parameter(
            f"{name}: must be a date such as 2026-11-23, or a date-time such as "
            f"2026-11-23T12:00:00Z (got {value[:40]!r})"
        ) from None
    is_day = match[2] is None and end_of_day
    since_1970 = at - datetime(1970, 1, 1) - offset + timedelta(days=int(is_day))
    return since_1970 // timedelta(milliseconds=1)


def choice(request: Request, name: str, choices: Sequence[str]) -> str | None:
    """The parameter `name`, or None. Raises Problem (422) if it is none of `choices`."""
    text = request.query_params.get(name)
    if text is not None and text not in choices:
        raise bad_parameter(f"{name}: must be one of {', '.join(choices)} (got {text[:40]!r})")
    return text

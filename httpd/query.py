"""Reading a query's parameters; a fault is answered with its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from httpd.refusals import bad_parameter

if TYPE_CHECKING:
    from starlette.requests import Request

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


def choice(request: Request, name: str, choices: Sequence[str]) -> str | None:
    """The parameter `name`, or None. Raises Problem (422) if it is none of `choices`."""
    text = request.query_params.get(name)
    if text is not None and text not in choices:
        raise bad_parameter(f"{name}: must be one of {', '.join(choices)} (got {text[:40]!r})")
    return text

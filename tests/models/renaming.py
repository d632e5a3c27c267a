"""Tables of old and new tensor names, as regular expressions, and what applies them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tests.models.folders import State

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def rename(state: State, rules: Sequence[Rule]) -> State:
    """Apply every rule to every name, in order; names that become one are an error."""
    renamed: State = {}
    for name, tensor in state.items():
        new = name
        for pattern, replacement in rules:
            new = re.sub(pattern, replacement, new)
        assert new not in renamed, f"{name} would become {new}, as another did"
        renamed[new] = tensor
    return renamed


def prefixed(prefix: str, state: State) -> State:
    """The same tensors, each name behind the prefix."""
    return {prefix + name: tensor for name, tensor in state.items()}

"""A genzo.toml to begin with: every setting with its default, commented out."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from spool.settings import AS_AGE, AS_BYTES, Settings

_AGES = (("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0))

_UNITS = {30: "GiB", 20: "MiB", 10: "KiB", 0: ""}

_HEAD = """\
# The configuration of genzo. What is commented out is the default; docs/configuration.md has more.
# After a change: {restart}

spool = {spool}
"""
_MODEL = """
# One table for each model; without any, the small embedded one is used.
# `genzo models add FILE` writes these lines.
# [[model]]
# name = "illustrious"
# family = "sdxl"
# weights = "/srv/models/illustriousXL.safetensors"
# loras = "/srv/models/loras"
"""


def sample(spool: Path, restart: str) -> str:
    """The text of a configuration for `spool`; `restart` is the command that makes it known."""
    parts = [_HEAD.format(spool=json.dumps(str(spool)), restart=restart)]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, BaseModel):
            lines = [_line(key, each) for key, each in type(default).model_fields.items()]
            parts.append("\n".join([f"\n[{name}]", *filter(None, lines), ""]))
        elif isinstance(default, str):
            parts.append(f"{_line(name, field)}\n")
    return "".join(parts) + _MODEL


def _line(key: str, field: FieldInfo) -> str | None:
    value = _value(field)
    return None if value is None else f"# {key} = {value}    # {field.description}"


def _value(field: FieldInfo) -> str | None:
    default = field.default
    if AS_AGE in field.metadata:
        return json.dumps(_age(default))
    if AS_BYTES in field.metadata:
        return json.dumps(_size(default))
    return json.dumps(default) if isinstance(default, bool | int | float | str) else None


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "forever"
    unit, length = next((u, n) for u, n in _AGES if seconds % n == 0)
    return f"{seconds / length:.0f}{unit}"


def _size(count: int) -> str:
    power = next(p for p in (30, 20, 10, 0) if count % (1 << p) == 0)
    return f"{count >> power} {_UNITS[power]}".strip()

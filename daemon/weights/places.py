"""Where the weights of a model lie: a path, or an id such as `org/name` in the hub's cache."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

from daemon import libraries
from daemon.errors import ModelError
from daemon.families.base import ModelSpec

Stamp = tuple[tuple[str, int, int, int], ...]
"""Files as they are: path, inode, size in bytes, time of the last change in nanoseconds."""

_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def located(spec: ModelSpec) -> ModelSpec:
    """The spec with `weights` as a path that exists.

    An id is looked up in `hub_cache`, Hugging Face's usual one if that is None, and fetched only
    where `allow_download` says so. Raises ModelError naming what was looked for.
    """
    if spec.weights.exists():
        return spec
    name = spec.weights.as_posix()
    if _ID.fullmatch(name) is None:
        raise ModelError(
            f"model {spec.name}: {spec.weights} does not exist; correct `weights`, or copy the "
            "file there"
        )
    found = _fetched(spec, name) if spec.allow_download else _cached(spec, name)
    if found is None:
        raise ModelError(
            f"model {spec.name}: {name} is neither a path nor in the hub's cache "
            f"({spec.hub_cache or 'the usual one'}); fetch it, or set allow_download = true"
        )
    return replace(spec, weights=found)


def stamp_of(spec: ModelSpec) -> Stamp:
    """The state of every file that the spec names or that lies in a folder it names."""
    named = [getattr(spec, field.name) for field in fields(spec) if field.name != "loras"]
    places = [place for place in named if isinstance(place, Path)]
    files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
    return tuple((str(file), *_state(file)) for file in sorted(files))


def _state(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:  # gone since it was listed
        return (0, 0, 0)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _cached(spec: ModelSpec, name: str) -> Path | None:
    hub = libraries.hub()
    cache = str(spec.hub_cache) if spec.hub_cache else None
    found = hub.try_to_load_from_cache(name, "model_index.json", cache_dir=cache)
    return Path(found).parent if isinstance(found, str) else None


def _fetched(spec: ModelSpec, name: str) -> Path | None:
    hub = libraries.hub(offline=False)
    cache = str(spec.hub_cache) if spec.hub_cache else None
    try:
        return Path(hub.snapshot_download(name, cache_dir=cache, allow_patterns=_WANTED))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model {spec.name}: {name} cannot be fetched ({type(error).__name__}: {reason})"
        ) from error

"""An id in place of a path is looked up in the hub's cache, and nowhere else unless allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.errors import ModelError
from daemon.families import ModelSpec
from daemon.weights.places import located

COMMIT = "0" * 40


def _cached(cache: Path, name: str) -> Path:
    """A model as the hub's client keeps it."""
    home = cache / f"models--{name.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text("{}")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    return snapshot


def test_a_path_that_exists_stays_what_it_is(tmp_path: Path) -> None:
    spec = ModelSpec("m", "sdxl", tmp_path)
    assert located(spec) is spec


def test_an_id_is_found_in_the_cache(tmp_path: Path) -> None:
    snapshot = _cached(tmp_path, "someone/some-model")
    spec = ModelSpec("m", "sdxl", Path("someone/some-model"), hub_cache=tmp_path)
    assert located(spec).weights == snapshot


def test_an_id_that_is_not_there_is_not_fetched(tmp_path: Path) -> None:
    spec = ModelSpec("m", "sdxl", Path("someone/else"), hub_cache=tmp_path)
    with pytest.raises(ModelError, match=r"someone/else is neither .* allow_download"):
        located(spec)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_missing_is_named(tmp_path: Path) -> None:
    spec = ModelSpec("m", "sdxl", tmp_path / "missing.safetensors")
    with pytest.raises(ModelError, match=r"missing\.safetensors does not exist"):
        located(spec)

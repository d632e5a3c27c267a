"""A VAE's projection is fitted once, kept whole, and never trusted blindly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daemon.families import ModelSpec, load
from daemon.previews import Projection
from daemon.projections import cache_directory, digest_of, kept_projection
from tests.daemon.test_previews import halve


class Counting:
    """The encoder, counted."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return halve(pictures)


def project(directory: Path | None, encode: Callable[[torch.Tensor], torch.Tensor]) -> Projection:
    return kept_projection(directory, "d1", encode, 8, 3)


def test_a_projection_is_fitted_once_and_read_back_to_the_last_bit(tmp_path: Path) -> None:
    encode = Counting()
    first, second = (project(tmp_path / "new" / "cache", encode) for _ in range(2))
    assert encode.calls == 1
    assert torch.equal(first.weights, second.weights)
    assert second.scale_factor == 8
    assert [path.name for path in (tmp_path / "new" / "cache").iterdir()] == ["d1.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[[1, 2, 3]]",
        b'[["a", "b", "c"]]',
        json.dumps([[float("inf")] * 3] * 4).encode(),
        b"[" * 5000,
    ],
)
def test_a_file_that_is_no_projection_is_fitted_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d1.json").write_bytes(content)
    expected = project(None, halve)
    encode = Counting()
    mended = project(tmp_path, encode)
    torch.testing.assert_close(mended.weights, expected.weights, atol=1e-4, rtol=1e-4)
    assert torch.equal(project(tmp_path, encode).weights, mended.weights)
    assert encode.calls == 1


def test_a_directory_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    encode = Counting()
    for _ in range(2):
        assert project(tmp_path / "file" / "cache", encode).weights.shape == (4, 3)
    assert encode.calls == 2


def test_many_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    threads = [threading.Thread(target=project, args=(tmp_path, halve)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    encode = Counting()
    project(tmp_path, encode)
    assert encode.calls == 0
    assert [path.name for path in tmp_path.iterdir()] == ["d1.json"]


def test_it_is_kept_where_systemd_says_else_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    assert cache_directory({"CACHE_DIRECTORY": "/c:/d"}) == Path("/c/projections")
    assert cache_directory({"XDG_CACHE_HOME": "/x"}) == Path("/x/genzo/projections")
    assert cache_directory({}) == Path("/home/x/.cache/genzo/projections")


def test_the_digest_is_that_of_the_half_that_encodes() -> None:
    encoder, decoder = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    vae = torch.nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    before = digest_of(vae, {"scaling_factor": 1.0, "sample_size": 8})
    with torch.no_grad():
        decoder.weight.add_(1)
    assert digest_of(vae, {"scaling_factor": 1.0, "sample_size": 9}) == before
    assert digest_of(vae, {"scaling_factor": 2.0}) != before
    with torch.no_grad():
        encoder.weight.add_(1)
    assert digest_of(vae, {"scaling_factor": 1.0}) != before


def test_a_model_is_loaded_a_second_time_without_a_fit(
    tiny_spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    load(tiny_spec)
    (kept,) = (tmp_path / "projections").iterdir()

    def fail(*_: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("daemon.projections.fit_projection", fail)
    load(replace(tiny_spec, name="again"))
    kept.unlink()
    with pytest.raises(AssertionError, match="fitted again"):
        load(tiny_spec)

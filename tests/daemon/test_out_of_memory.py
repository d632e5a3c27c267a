"""A GPU whose memory does not suffice, which this machine has not: the error is injected."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from PIL import ImageChops

from daemon.families import ModelSpec, load
from daemon.families.sdxl import Sdxl
from spool.layout import Spool
from spool.states import Status
from tests.daemon.slots import record_of, running_slot, submit
from tests.daemon.test_sdxl import ignore, job


@pytest.mark.parametrize(("failures", "how"), [(0, "whole"), (1, "in tiles"), (2, "on the CPU")])
def test_a_decode_that_runs_out_of_memory_is_done_in_a_smaller_way_and_said(
    tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, failures: int, how: str
) -> None:
    model = load(tiny_spec)
    latents = model.denoise(job(), 1, ignore)
    whole = model.decode(latents)
    assert isinstance(model, Sdxl)
    vae: Any = model._autoencoder._vae
    decode, left = vae.decode, [failures]

    def scarce(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("injected")
        return decode(*arguments, **options)

    monkeypatch.setattr(vae, "decode", scarce)
    image = model.decode(latents)
    assert model.describe()["decoded"] == how
    assert not vae.use_tiling
    # The seams of tiles change some pixels.
    assert how == "in tiles" or ImageChops.difference(image, whole).getbbox() is None
    # This size is decoded so from now on, others are not.
    model.decode(latents)
    assert model.describe()["decoded"] == how
    model.decode(latents[..., :4])
    assert model.describe()["decoded"] == "whole"


def test_a_job_that_runs_out_of_memory_fails_alone_and_says_what_to_do(
    tmp_path: Path, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scarce(*_: object) -> NoReturn:
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    spool = Spool.create(tmp_path / "spool")
    with running_slot(spool, tiny_spec) as running:
        with monkeypatch.context() as patch:
            patch.setattr(Sdxl, "denoise", scarce)
            failed = record_of(spool, submit(spool))
        assert record_of(spool, submit(spool)).status is Status.COMPLETED
        assert running.error is None
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert "tried to allocate 20 GiB; ask for fewer pixels" in failed.error["detail"]

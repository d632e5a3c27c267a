"""A client that another program generates from the specification brings a job to its picture."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spool.layout import Spool
from tests.services import running_daemon, running_httpd, wait_for


def generated(specification: bytes, folder: Path) -> None:
    """Let openapi-python-client write the package `genzo_client` into `folder`."""
    (folder / "openapi.json").write_bytes(specification)
    programs = Path(sys.executable).parent
    command = [str(programs / "openapi-python-client"), "generate", "--path", "openapi.json"]
    subprocess.run(
        [*command, "--meta", "none", "--output-path", "genzo_client"],
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},  # it formats with ruff
        check=True,
        capture_output=True,
    )


def test_a_generated_client_brings_a_job_to_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.create(tmp_path / "spool")
    with running_daemon(spool), running_httpd(spool) as port:
        base = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{base}/openapi.json") as answer:
            generated(answer.read(), tmp_path)
        monkeypatch.syspath_prepend(tmp_path)

        def module(name: str) -> Any:
            return importlib.import_module(f"genzo_client.{name}")

        client = module("client").Client(base_url=base)
        parameters = module("models.generate_sdxl_parameters").GenerateSdxlParameters
        body = parameters(prompt="a red circle", width=64, height=64, steps=2, seed=7)
        accepted = module("api.jobs.generate").sync(client=client, body=body)
        get_job = module("api.jobs.get_job").sync

        def job() -> Any:
            return get_job(accepted.job_id, client=client)

        wait_for(lambda: job().status == "completed", what="the picture")
        (image,) = job().images
        listed = module("api.gallery.list_images").sync(client=client)
        assert [picture.filename for picture in listed.images] == [image.filename]
        png = client.get_httpx_client().get(image.url).content
    assert image.seed == 7
    assert Image.open(io.BytesIO(png)).size == (64, 64)

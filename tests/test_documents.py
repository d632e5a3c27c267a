"""The documents name what exists, and what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from daemon.families.samplers import samplers
from spool.exits import Exit
from spool.jobs import JobRequest
from spool.layout import Spool
from spool.settings import (
    DaemonSettings,
    DiskSettings,
    HttpSettings,
    KeepSettings,
    LoraSettings,
    ModelSettings,
    OutputSettings,
    Settings,
)
from spool.states import Status

ROOT = Path(__file__).parents[1]
PROTOCOL = (ROOT / "spool" / "PROTOCOL.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "spool" / "PROTOCOL.md"]
    if path.name != "CHANGELOG.md"
)


def test_the_protocol_describes_every_directory_of_a_spool(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    for path in spool.root.rglob("*"):
        name = path.relative_to(spool.root).as_posix()
        if name not in {"work", "work/active"}:
            short = name.removeprefix("work/")
            assert name in PROTOCOL or short in PROTOCOL, f"{name} is not in PROTOCOL.md"


@pytest.mark.parametrize("word", [*Status, *JobRequest.model_fields])
def test_the_protocol_knows_every_state_and_every_field_of_a_request(word: str) -> None:
    assert re.search(rf"\b{word}\b", PROTOCOL)


@pytest.mark.parametrize(
    "section",
    [
        Settings,
        HttpSettings,
        DaemonSettings,
        OutputSettings,
        DiskSettings,
        KeepSettings,
        ModelSettings,
        LoraSettings,
    ],
)
def test_the_configuration_page_names_every_setting(section: type[BaseModel]) -> None:
    for name in section.model_fields:
        heading = rf"\[+(model\.)?{name}(\..+)?\]+"
        assert re.search(rf"^({heading}|{name} =)", CONFIGURATION, re.MULTILINE), name


def test_the_configuration_page_names_every_sampler_and_exit_status() -> None:
    for name in samplers:
        assert name in CONFIGURATION
    for status in Exit:
        assert f"| {status.value} | {status.name} |" in CONFIGURATION


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:spool|daemon|httpd|systemd|tests|docs)/[\w./-]+)`", text)
    for link in links:
        assert (document.parent / link).exists(), f"{document.name} links to {link}"
    for path in named:
        assert (ROOT / path).exists(), f"{document.name} names {path}"

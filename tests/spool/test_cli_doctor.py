from __future__ import annotations

import json
import os
from pathlib import Path

from spool.layout import Spool
from tests.spool.processes import NOBODY, as_root, genzo
from tests.spool.samples import queue_job


def test_doctor_finds_nothing_wrong_with_a_fresh_spool(spool: Spool) -> None:
    ended = genzo("doctor", "--spool", spool.root, "--no-gpu")
    assert ended.returncode == 0, ended.stdout
    assert ended.stderr == ""
    assert "torch" not in ended.stdout
    levels = [line.split()[0] for line in ended.stdout.splitlines()]
    assert set(levels) <= {"note", "->", "ok"}


def test_doctor_says_the_worst_first_and_what_to_do(spool: Spool) -> None:
    spool.held.rmdir()
    queue_job(spool)
    ended = genzo("doctor", "--spool", spool.root, "--no-gpu")
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert lines[0] == f"error    {spool.held}: is missing"
    assert lines[1].strip().startswith("-> genzo init")
    assert lines[2] == f"warning  {spool.queued}: 1 job waits and no daemon runs"


def test_doctor_answers_in_json(spool: Spool) -> None:
    (spool.root / "spool.json").unlink()
    ended = genzo("doctor", "--spool", spool.root, "--no-gpu", "--json")
    answer = json.loads(ended.stdout)
    assert answer["ok"] is False
    assert {"level", "where", "what", "remedy"} == set(answer["findings"][0])
    assert answer["findings"][0]["level"] == "error"


def test_doctor_works_without_a_spool_or_a_valid_configuration(tmp_path: Path) -> None:
    config = tmp_path / "genzo.toml"
    config.write_text("nonsense = 1")
    arguments = ("--spool", tmp_path / "none", "--config", config, "--no-gpu")
    ended = genzo("doctor", *arguments)
    assert ended.returncode == 1
    assert ended.stderr == ""
    assert "error    configuration: " in ended.stdout
    assert "is not there" in ended.stdout


def test_doctor_prints_no_control_characters(spool: Spool) -> None:
    Path(os.fsdecode(bytes(spool.queued) + b"/\x1b[2J\xff\n.json")).touch()
    ended = genzo("doctor", "--spool", spool.root, "--no-gpu")
    assert "\x1b" not in ended.stdout
    assert "\\x1b[2J\\udcff\\n.json: is no ticket by its name" in ended.stdout


@as_root
def test_root_looks_with_the_eyes_of_the_spools_owner(public_directory: Path) -> None:
    spool = Spool.create(public_directory / "spool")
    for path in [spool.root, *spool.root.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    spool.lock("gpu0").touch()
    ended = genzo("doctor", "--spool", spool.root, "--no-gpu")
    assert f"belongs to root, the spool to user {NOBODY}" in ended.stdout
    assert "may not look at" not in ended.stdout

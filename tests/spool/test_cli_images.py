"""`genzo images` and `genzo images show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from daemon.infotext import Infotext
from daemon.pictures import encode_picture
from spool.gallery import PictureName, publish_picture
from spool.layout import Spool
from spool.picture_files import PictureFormat
from spool.settings import OutputSettings
from tests.spool.processes import genzo

JOB_ID = "20261123T121728417-7f3a9c"
TEXT = Infotext("a cat\nin \x1b[31mred 猫", "dog", "Steps: 1, Seed: 8")


def published(spool: Spool, index: int, each: PictureFormat) -> PictureName:
    name = PictureName(JOB_ID, index, each)
    job = {"model": "tiny", "prompt": "a cat\nin \x1b[31mred 猫", "seed": 7, "count": 3}
    record = {"format": 1, "job_id": JOB_ID, "index": index, "seed": 7 + index, "job": job}
    picture = Image.new("RGB", (72, 64), "teal")
    data = encode_picture(picture, OutputSettings(format=each), TEXT, record)
    publish_picture(spool, name, data, b"thumbnail")
    return name


@pytest.fixture
def names(spool: Spool) -> list[PictureName]:
    """One picture of each format, the newest first."""
    return [published(spool, n, each) for n, each in enumerate(PictureFormat)][::-1]


def test_the_newest_pictures_are_listed_by_their_files_alone(
    spool: Spool, names: list[PictureName]
) -> None:
    done = genzo("images", "--spool", spool.root)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [str(name.picture(spool)) for name in names]
    assert [line.split()[1:3] for line in lines] == [["72x64", str(seed)] for seed in (9, 8, 7)]
    assert all(line.endswith("a cat in  [31mred 猫") for line in lines)


def test_the_list_as_json_has_what_decided_each_picture(
    spool: Spool, names: list[PictureName]
) -> None:
    done = genzo("images", "--json", "--limit", "2", "--spool", spool.root)
    newest, second = json.loads(done.stdout)
    assert (newest["filename"], second["filename"]) == tuple(map(str, names[:2]))
    assert newest["metadata"] == {
        "model": "tiny",
        "prompt": "a cat\nin \x1b[31mred 猫",
        "seed": 9,
    }
    assert (newest["width"], newest["height"], newest["job_id"]) == (72, 64, JOB_ID)
    assert newest["created_at"] == "2026-11-23T12:17:28.417Z"


def test_a_broken_file_is_listed_and_stops_no_other(spool: Spool) -> None:
    name = published(spool, 0, PictureFormat.WEBP)
    broken = PictureName(JOB_ID, 1)
    broken.picture(spool).write_bytes(b"\x89PNG")
    done = genzo("images", "--spool", spool.root)
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{broken.picture(spool)}  0x0")
    assert second.startswith(str(name.picture(spool)))


def test_an_empty_gallery_prints_nothing_on_standard_output(spool: Spool) -> None:
    done = genzo("images", "--spool", spool.root)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no pictures" in done.stderr


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_a_limit_that_is_none_is_a_wrong_usage(spool: Spool, limit: str) -> None:
    assert genzo("images", f"--limit={limit}", "--spool", spool.root).returncode == 2


def test_a_picture_is_shown_by_name_or_by_path(
    spool: Spool, names: list[PictureName], tmp_path: Path
) -> None:
    for name in names:
        copy = tmp_path / "copy"
        copy.write_bytes(name.picture(spool).read_bytes())
        by_name = genzo("images", "show", str(name), "--spool", spool.root)
        by_path = genzo("images", "show", copy)
        assert by_name.returncode == by_path.returncode == 0
        assert by_path.stdout == (
            f"{copy}  72x64\na cat\nin  [31mred 猫\nNegative prompt: dog\nSteps: 1, Seed: 8\n"
        )
        assert by_name.stdout.splitlines()[1:] == by_path.stdout.splitlines()[1:]


def test_a_picture_as_json_has_our_own_record(spool: Spool, names: list[PictureName]) -> None:
    done = genzo("images", "show", "--json", str(names[0]), "--spool", spool.root)
    shown = json.loads(done.stdout)
    assert (shown["width"], shown["height"], shown["infotext"]) == (72, 64, str(TEXT))
    assert shown["job"]["job"]["seed"] == 7
    assert shown["job"]["seed"] == 9


def test_a_file_that_is_no_picture_or_says_nothing_is_told(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    foreign = tmp_path / "foreign.png"
    Image.new("RGB", (8, 8)).save(foreign)
    for path, said in (
        (text, f"genzo: {text} is neither PNG, WebP nor JPEG"),
        (foreign, f"genzo: {foreign} says nothing of what made it"),
        (tmp_path / "gone.png", "No such file"),
    ):
        done = genzo("images", "show", path)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr

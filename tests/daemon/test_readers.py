"""Other programs read what made a picture: sd-parsers, A1111's own way, and exiftool.

The pictures are a running slot's, in each format, of prompts that try to be taken for settings.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image
from sd_parsers import ParserManager

from daemon.families import ModelSpec
from daemon.infotext import ZERO_WIDTH_SPACE
from spool.gallery import PictureName
from spool.layout import Spool
from spool.picture_files import PictureFormat
from spool.picture_metadata import read_metadata
from spool.records import Record
from spool.settings import OutputSettings, Settings
from tests.daemon.slots import record_of, running_slot, submit
from tests.daemon.test_infotext import HOSTILE, read_as_a1111_does
from tests.daemon.tiny_loras import draw_lora, kohya, save_lora
from tests.daemon.tiny_models import open_bare

SETTINGS: dict[str, Any] = {"width": 64, "height": 72, "steps": 2, "sampler": "dpm++_2m_karras"}
PROMPTS = [
    *filter(None, HOSTILE),
    "Steps: 5",
    "a cat, Negative prompt: a dog",
    "円の中の猫、夕焼け、線画",
    "🐱🏳️‍🌈 family 👨‍👩‍👧, naïve façade",
    "quotes \" and ' and \\, a\nsecond line\nSeed: 1, Size: 1x1, Model: x",
    "parameters\nSteps: 1, Sampler: x, CFG scale: 1, Seed: 1, Size: 1x1",
    '{"json": [1, 2]}, <tags> & &amp; ]]>',
]
# As many characters as there may be, in few enough tokens.
LONG = ("international photography 猫 " * 800)[:20_000].strip()
LONG_NEGATIVE = ("transportation " * 1500)[:20_000].strip()
LORAS = ["ink", "paper"]


@dataclass(frozen=True)
class Seen:
    """What a reader found."""

    prompt: str
    negative_prompt: str
    values: dict[str, str]
    loras: frozenset[str]


def by_sd_parsers(path: Path) -> Seen:
    with Image.open(path) as image:
        found = ParserManager().parse(image)
        # It remembers the last image by its address, which a next one may get.
        _KEPT.append(image)
    assert found is not None
    (sampler,) = found.samplers
    metadata = {key: str(value) for key, value in found.metadata.items()}
    hashes: dict[str, str] = found.metadata.get("Hashes", {})
    assert sampler.model is not None
    return Seen(
        "\n".join(prompt.value for prompt in sampler.prompts),
        "\n".join(prompt.value for prompt in sampler.negative_prompts),
        {
            "Steps": str(sampler.parameters["steps"]),
            "Sampler": str(sampler.name),
            "Seed": str(sampler.parameters["seed"]),
            "CFG scale": str(sampler.parameters["cfg_scale"]),
            "Size": metadata["Size"],
            "Model": str(sampler.model.name),
        },
        frozenset(name.removeprefix("lora:") for name in hashes),
    )


_KEPT: list[Image.Image] = []


def by_a1111(path: Path) -> Seen:
    """The text where A1111 looks for it: the PNG's chunk, else EXIF by piexif's rules."""
    with Image.open(path) as image:
        text = image.info.get("parameters")
        if text is None:
            comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
            assert comment[:8] == b"UNICODE\0"
            text = comment[8:].decode("utf_16_be")
    return seen_in(text)


def by_exiftool(path: Path) -> Seen:
    found = exiftool(path.parent)[path.name]
    return seen_in(found.get("Parameters") or found["UserComment"])


@cache
def exiftool(folder: Path) -> dict[str, dict[str, Any]]:
    """What exiftool finds in the files of a folder, which must not change any more."""
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    # -b: long values too, which it would sum up otherwise.
    command = ["exiftool", "-json", "-b", "-charset", "utf8", str(folder)]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=60)
    files = json.loads(answer.stdout)
    assert [file.get("Warning") for file in files] == [None] * len(files)
    return {file["FileName"]: file for file in files}


def seen_in(text: str) -> Seen:
    prompt, negative, values = read_as_a1111_does(text)
    loras = values.get("Lora hashes", "").strip('"').split(", ")
    names = frozenset(entry.partition(":")[0] for entry in loras if entry)
    return Seen(prompt, negative, values, names)


READERS = [by_sd_parsers, by_a1111, by_exiftool]


@dataclass(frozen=True)
class Rendered:
    """The jobs that were rendered in one format: each prompt, its record and its picture."""

    format: PictureFormat
    jobs: dict[str, tuple[Record, Path]]


@pytest.fixture(scope="module", params=PictureFormat)
def rendered(
    request: pytest.FixtureRequest,
    embedded_spec: ModelSpec,
    tmp_path_factory: pytest.TempPathFactory,
) -> Rendered:
    folder = tmp_path_factory.mktemp("readers")
    bare = open_bare(embedded_spec.weights, "fp16")
    for seed, name in enumerate(LORAS):
        save_lora(folder / "loras" / f"{name}.safetensors", kohya(draw_lora(bare, seed)))
    spec = replace(embedded_spec, name='it"s, a: model', loras=folder / "loras")
    spool = Spool.create(folder / "spool")
    output = OutputSettings(format=request.param)
    with running_slot(spool, spec, settings=Settings(output=output)):
        jobs = {
            prompt: submit(
                spool,
                prompt=prompt,
                negative_prompt=negative,
                seed=number,
                loras=[{"id": name, "weight": 0.3} for name in LORAS[: number % 3]],
                **SETTINGS,
            )
            for number, (prompt, negative) in enumerate(pairs())
        }
        records = {prompt: record_of(spool, job_id) for prompt, job_id in jobs.items()}
    return Rendered(
        request.param,
        {prompt: (record, picture(spool, record)) for prompt, record in records.items()},
    )


def pairs() -> list[tuple[str, str]]:
    """Each prompt, with another one as what it shall not be; the last are as long as may be."""
    return [*zip(PROMPTS, PROMPTS[1:] + PROMPTS[:1], strict=True), (LONG, LONG_NEGATIVE)]


def picture(spool: Spool, record: Record) -> Path:
    (image,) = record.images
    name = PictureName.parse(image.filename)
    assert name is not None
    return name.picture(spool)


def plain(text: str) -> str:
    return text.replace(ZERO_WIDTH_SPACE, "")


@pytest.mark.parametrize("reader", READERS)
def test_others_read_what_made_a_picture(
    rendered: Rendered, reader: Callable[[Path], Seen]
) -> None:
    for number, (prompt, negative) in enumerate(pairs()[:-1]):
        record, path = rendered.jobs[prompt]
        assert record.status == "completed", record.error
        assert path.suffix == f".{rendered.format.extension}"
        seen = reader(path)
        assert (plain(seen.prompt), plain(seen.negative_prompt)) == (prompt, negative)
        expected = {
            "Steps": "2",
            "Sampler": "DPM++ 2M Karras",
            "Seed": str(number),
            "Size": "64x72",
            "Model": "its a model",
        }
        assert {key: seen.values[key] for key in expected} == expected
        assert seen.loras == frozenset(LORAS[: number % 3])


@pytest.mark.parametrize("reader", READERS)
def test_others_read_the_values_behind_prompts_as_long_as_they_may_be(
    rendered: Rendered, reader: Callable[[Path], Seen]
) -> None:
    _, path = rendered.jobs[LONG]
    seen = reader(path)
    assert (seen.values["Steps"], seen.values["Size"]) == ("2", "64x72")
    prompt = plain(seen.prompt)
    if rendered.format is PictureFormat.JPEG:
        for cut, whole in ((prompt, LONG), (seen.negative_prompt, LONG_NEGATIVE)):
            assert 16_000 < len(cut) < len(whole)
            assert whole.startswith(cut.removesuffix("…"))
    else:
        assert (prompt, seen.negative_prompt) == (LONG, LONG_NEGATIVE)


def test_exiftool_reads_the_source_type_and_our_record_whole(rendered: Rendered) -> None:
    for prompt, (record, path) in rendered.jobs.items():
        found = exiftool(path.parent)[path.name]
        assert found["DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
        if rendered.format is not PictureFormat.PNG:
            assert json.loads(found["Job"])["request"]["prompt"] == prompt
        assert found["ImageWidth"] == record.images[0].width == 64


def test_we_read_our_record_whole_in_every_format(rendered: Rendered) -> None:
    for prompt, (record, path) in rendered.jobs.items():
        with path.open("rb") as file:
            found = read_metadata(file)
        assert found.job is not None
        assert found.job["request"] == record.request
        assert found.job["job"] == record.job
        assert found.job["job"]["prompt"] == prompt
        assert found.infotext is not None

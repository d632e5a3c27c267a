"""A spool with very many pictures: real names, folders and records, and few inodes.

Every picture and every thumbnail is a hard link to one of a few files, since only their number
matters here; every record is a file of its own, in the words of a daemon.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from daemon.pictures import encode_thumbnail
from spool import ids
from spool.gallery import PictureName
from spool.layout import Spool
from spool.records import PictureRecord
from tests.httpd.shelf_filler import completed

SECONDS_APART = 30
"""A picture each half a minute: a million in a year, in 8,300 hours."""
LAST_MS = 1_790_000_000_000
MODELS = ("illustrious", "flux-dev", "illustrious", "zimage")

_ID, _AT, _PROMPT, _MODEL, _SEED = "@id@", "@at@", "@prompt@", "@model@", 4_815_162_342
_MAX_LINKS = 50_000  # ext4 allows 65,000 names for one inode
_SUBJECTS = ("girl", "cat", "castle", "train", "lighthouse", "robot", "koi", "violin", "forest")
_COLOURS = ("red", "blue", "green", "amber", "violet", "white", "black")
_PLACES = ("by the sea", "in the rain", "at night", "under cherry trees", "on a rooftop")
_JAPANESE = ("夕焼けの街と猫", "雨の京都、金閣寺", "桜の下の少女、水彩", "東京の夜景")


def prompt(number: int) -> str:
    """The prompt of picture `number`: the usual words, a mixture, now and then Japanese."""
    if number % 10 == 3:
        return f"{_JAPANESE[number // 10 % len(_JAPANESE)]}、{number}番"
    rare = ", axolotl" if number % 100_000 == 17 else ""
    return (
        f"masterpiece, best quality, intricate details, a {_COLOURS[number % 7]} "
        f"{_SUBJECTS[number % 9]} {_PLACES[number % 5]}, soft lighting, no. {number}{rare}"
    )


def make_gallery(spool: Spool, pictures: int, processes: int = 2) -> None:
    """Fill an empty `spool` with `pictures` pictures, one a job, and their records."""
    numbers = range(pictures)
    by_hour = [list(group) for _, group in groupby(numbers, key=partial(_hour, pictures))]
    blocks = [by_hour[start::processes] for start in range(processes)]
    # Not forked: the caller may have threads.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(_fill, spool, pictures), range(processes), blocks))


def name_of(pictures: int, number: int) -> PictureName:
    """Picture `number`, the oldest being 0, of a gallery of `pictures`."""
    stamp = ids.at(_instant_ms(pictures, number)).rpartition("-")[0]
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return PictureName(f"{stamp}-{digest[:6]}", 0)


def _instant_ms(pictures: int, number: int) -> int:
    return LAST_MS - (pictures - 1 - number) * SECONDS_APART * 1000


def _hour(pictures: int, number: int) -> int:
    return _instant_ms(pictures, number) // 3_600_000


def _fill(spool: Spool, pictures: int, block: int, hours: Sequence[Sequence[int]]) -> None:
    sources = _sources(spool.tmp, block)
    template = record_template()
    for numbers in hours:
        names = [name_of(pictures, number) for number in numbers]
        folders = [tree / ids.shard(names[0].job_id) for tree in (spool.gallery, spool.done)]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for number, name in zip(numbers, names, strict=True):
            picture, thumbnail = next(sources)
            os.link(picture, f"{folders[0]}/{name}")
            os.link(thumbnail, f"{folders[0]}/{name.stem}.thumb.webp")
            descriptor = os.open(f"{folders[1]}/{name.job_id}.json", os.O_WRONLY | os.O_CREAT)
            os.write(descriptor, record(template, number, name))
            os.close(descriptor)


def _sources(folder: Path, block: int) -> Iterator[tuple[Path, Path]]:
    """A picture's file and a thumbnail's, others once they have as many names as they may."""
    generator = 0
    while True:
        generator += 1
        noise = Image.effect_noise((256, 256), 60).convert("RGB")
        paths = folder / f"{block}-{generator}.png", folder / f"{block}-{generator}.webp"
        noise.save(paths[0])
        paths[1].write_bytes(encode_thumbnail(noise))
        for _ in range(_MAX_LINKS):
            yield paths
        for path in paths:
            path.unlink()


def record(template: bytes, number: int, name: PictureName) -> bytes:
    """The record of picture `number`. To encode each anew would take most of the time."""
    return (
        template.replace(_ID.encode(), name.job_id.encode())
        .replace(_AT.encode(), ids.created_at(name.job_id).encode())
        .replace(_PROMPT.encode(), prompt(number).encode())
        .replace(_MODEL.encode(), MODELS[number % len(MODELS)].encode())
        .replace(str(_SEED).encode(), str(number).encode())
    )


def record_template() -> bytes:
    """A record with marks where `record` puts what differs."""
    job = {
        "model": _MODEL,
        "prompt": _PROMPT,
        "negative_prompt": "worst quality, low quality, blurry",
        "width": 256,
        "height": 256,
        "seed": _SEED,
        "steps": 28,
        "guidance_scale": 6.0,
        "sampler": "euler_a",
        "loras": [],
        "count": 1,
    }
    picture = PictureRecord(f"{_ID}-0.png", 0, _SEED, 256, 256, 1000, "0" * 64)
    render = {"device": "cuda:0", "dtype": "float16", "seconds": 3.2, "steps": 28}
    return replace(completed(_ID, _AT, job, picture), render=render).encode()

"""`genzo images`: the newest pictures, and what a picture's file says of itself."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spool import ids
from spool.cli.places import open_spool
from spool.gallery import PictureName, newest_first
from spool.layout import Spool
from spool.picture_files import NotAPicture, size_px
from spool.picture_metadata import PictureMetadata, read_metadata


def images(arguments: argparse.Namespace) -> int:
    """Print the newest pictures, one a line: path, size, seed, prompt."""
    spool = open_spool(arguments)
    names = itertools.islice(newest_first(spool), arguments.limit)
    pictures = [_described(spool, name) for name in names]
    if arguments.json:
        print(json.dumps(pictures, ensure_ascii=False, indent=1))
        return 0
    if not pictures:
        print("There are no pictures yet.", file=sys.stderr)
    for picture in pictures:
        size = f"{picture['width']}x{picture['height']}"
        details = picture["metadata"]
        prompt = _printable(str(details.get("prompt", ""))).replace("\n", " ")
        print(f"{picture['path']}  {size:<9}  {details.get('seed', '-'):<10}  {prompt}")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print what a picture's file says of itself; status 1 if it says nothing of what made it."""
    path = _path(arguments)
    try:
        (width, height), found = _read(path)
    except NotAPicture as error:
        raise NotAPicture(f"{path} {error}") from None
    if arguments.json:
        print(json.dumps({"width": width, "height": height, **asdict(found)}, ensure_ascii=False))
    else:
        print(f"{path}  {width}x{height}")
        print(_printable(found.infotext or ""))
    if found == PictureMetadata(None, None):
        print(f"genzo: {path} says nothing of what made it", file=sys.stderr)
        return 1
    return 0


def _path(arguments: argparse.Namespace) -> Path:
    """The file of that path, else the picture of that name in the gallery."""
    path = Path(arguments.file)
    name = PictureName.parse(arguments.file)
    return name.picture(open_spool(arguments)) if name and not path.exists() else path


def _read(path: Path) -> tuple[tuple[int, int], PictureMetadata]:
    with path.open("rb") as file:
        return size_px(file), read_metadata(file)


def _described(spool: Spool, name: PictureName) -> dict[str, Any]:
    """A picture by its file alone, so that it needs no record; what cannot be read is left out."""
    path = name.picture(spool)
    try:
        (width, height), found = _read(path)
    except (OSError, NotAPicture):
        (width, height), found = (0, 0), PictureMetadata(None, None)
    return {
        "filename": str(name),
        "job_id": name.job_id,
        "path": str(path),
        "width": width,
        "height": height,
        "created_at": ids.created_at(name.job_id),
        "metadata": _settings(found.job or {}),
    }


def _settings(record: dict[str, Any]) -> dict[str, Any]:
    """What decided this one picture, as `metadata` of GET /api/images tells it."""
    job = record.get("job")
    if not isinstance(job, dict):
        return {}
    return {
        **{key: value for key, value in job.items() if key != "count"},
        "seed": record.get("seed"),
    }


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)

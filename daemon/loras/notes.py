"""What is told about a LoRA beside its weights: in its metadata and in files next to it.

Such a file, from Civitai's helpers, is named like the LoRA with `.civitai.info` or `.json`. All of
it was written by strangers; what is not as it should be counts as not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.safetensors_header import Header
from spool import strict_json
from spool.problems import Problem

SIDE_FILES = (".civitai.info", ".json")
_MAX_WORDS = 20
_MAX_CHARS = 500
_SUGGESTIONS = 10
_STEM = re.compile(r"civitai_(\d{1,15})")
_URN = re.compile(r"urn:air:.*:civitai:\d+@(\d{1,15})")


@dataclass(frozen=True, slots=True)
class Notes:
    """`version_id` is Civitai's id of the version; the first of `trigger_words` is the trigger;
    `suggestions` are the tags that most of the training pictures had."""

    name: str
    version_id: int | None
    trigger_words: tuple[str, ...]
    suggestions: tuple[str, ...]


def read_notes(path: Path, header: Header) -> Notes:
    """What the side files, else the metadata, say about the LoRA at `path`."""
    side = _side_file(path)
    version = _version(side, path.name)
    metadata = header.metadata
    words = _words(version.get("trainedWords") or side.get("trainedWords"))
    # What A1111's user noted in its `.json`.
    words = words or _words([side.get("activation text")])
    names = (_of(side, "model").get("name"), metadata.get("modelspec.title"), path.stem)
    return Notes(
        name=next((text for name in names if (text := _text(name))), "unnamed"),
        version_id=_version_id(path, metadata, version),
        trigger_words=words or _words([metadata.get("modelspec.trigger_phrase")]),
        suggestions=_frequent_tags(metadata.get("ss_tag_frequency", "")),
    )


def _side_file(path: Path) -> dict[str, Any]:
    for ending in SIDE_FILES:
        beside = path.with_name(path.stem + ending)
        if not beside.is_file():  # a FIFO would wait for a writer for ever
            continue
        try:
            with beside.open("rb") as file:
                document = strict_json.parse(file.read(strict_json.MAX_BYTES + 1))
        except (OSError, Problem):
            continue
        if isinstance(document, dict):
            return document
    return {}


def _version(side: dict[str, Any], filename: str) -> dict[str, Any]:
    """The part of a side file that is about the version which this file is of.

    A side file tells either of one version, or of a model with its `modelVersions`.
    """
    versions = side.get("modelVersions")
    if not isinstance(versions, list):
        return side
    known = [version for version in versions if isinstance(version, dict)]
    for version in known:
        files = version.get("files")
        for file in files if isinstance(files, list) else ():
            if isinstance(file, dict) and file.get("name") == filename:
                return version
    return known[0] if len(known) == 1 else {}


def _version_id(path: Path, metadata: Mapping[str, str], version: dict[str, Any]) -> int | None:
    if match := _STEM.fullmatch(path.stem):
        return int(match[1])
    for key in ("versionId", "modelVersionId", "id"):
        number = version.get(key)
        if type(number) is int and 0 < number < 10**15:
            return number
    urns = (_URN.fullmatch(value[:200]) for value in metadata.values())
    return next((int(match[1]) for match in urns if match), None)


def _frequent_tags(text: str) -> tuple[str, ...]:
    """The most frequent of `ss_tag_frequency`, a JSON text of {folder: {tag: count}}."""
    try:
        folders = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return ()
    counts: dict[str, int] = {}
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if type(count) is int:
                counts[tag] = counts.get(tag, 0) + count
    by_count = sorted(counts, key=lambda tag: -counts[tag])
    return _words(by_count)[:_SUGGESTIONS]


def _words(values: object) -> tuple[str, ...]:
    texts = (_text(value) for value in values[:1000]) if isinstance(values, list) else ()
    return tuple(dict.fromkeys(filter(None, texts)))[:_MAX_WORDS]


def clean_words(values: Iterable[str]) -> tuple[str, ...]:
    """Trigger words as they are published: one line each, none empty, none twice."""
    return _words(list(values))


def _text(value: object) -> str:
    """One line of printable text, without the commas around it; "" if it is none."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value[: 2 * _MAX_CHARS].split())
    printable = "".join(character for character in line if character.isprintable())
    return printable.strip(" ,")[:_MAX_CHARS]


def _of(document: dict[str, Any], name: str) -> dict[str, Any]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}

"""The folder of a model's LoRAs: which there are, under which ids, and which cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.errors import RenderError
from daemon.loras.files import ENDINGS, LoraFile, Stamp, digest_of, inspect
from daemon.loras.notes import clean_words
from spool.jobs import LoraRequest
from spool.settings import LoraSettings

_MAX_ID_CHARS = 200
_MAX_LISTED = 500
_NOTHING_SAID = LoraSettings()
_DEFAULTS = {name: LoraRequest.model_fields[name].default for name in ("weight", "trigger_weight")}


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that no job can name, and why."""

    path: Path
    reason: str


class LoraFolder:
    """The LoRAs under `path`, for models of one family; `refresh` looks again.

    `said` is what the configuration says of LoRAs by their ids, and goes over what the files bring.
    Belongs to one thread.
    """

    def __init__(
        self, path: Path | None, family: str, said: Mapping[str, LoraSettings] | None = None
    ) -> None:
        self._path = path
        self._family = family
        self._said = said or {}
        self._files: dict[str, LoraFile] = {}
        self.refused: tuple[Refused, ...] = ()
        self.refresh()

    def refresh(self) -> bool:
        """Look at the folder again and say whether anything is different.

        Costs a `stat` a file; only the headers of new and changed files are read.
        """
        if self._path is None:
            return False
        before = self._files, self.refused
        self._files, self.refused = self._sort(self._path)
        return before != (self._files, self.refused)

    def reports(self) -> tuple[str, ...]:
        """A sentence for each file that is not offered, or not under the id that it asks for."""
        refused = [f"LoRA {file.path} is not offered: {file.reason}" for file in self.refused]
        renamed = [
            f"LoRA {file.path} is {lora_id}: {self._files[wanted].path} is {wanted}"
            for lora_id, file in self._files.items()
            if lora_id != (wanted := _id_of(file))
        ]
        unknown = [
            f"the configuration names the LoRA {lora_id!r}, and {self._path} has none of that id"
            for lora_id in self._said
            if lora_id not in self._files
        ]
        return (*refused, *renamed, *unknown)

    def listed_refused(self) -> tuple[dict[str, str], ...]:
        """What no job can name, as a ModelEntry lists it: each `file`, below the folder, and why.

        Of very many the last one listed stands for the rest, since the list is published often.
        """
        listed = [
            {"file": _below(self._path, refusal.path), "reason": refusal.reason}
            for refusal in self.refused
        ]
        if len(listed) > _MAX_LISTED:
            rest = f"{len(listed) - _MAX_LISTED + 1} more files, whose reasons are in the log"
            listed[_MAX_LISTED - 1 :] = [{"file": str(self._path), "reason": rest}]
        return tuple(listed)

    def available(self) -> tuple[dict[str, Any], ...]:
        """The LoRAs that jobs can name, as a ModelEntry lists them."""
        return tuple(
            {
                "id": lora_id,
                "name": file.notes.name,
                "trigger_words": list(self.trigger_words(lora_id)),
                **_DEFAULTS,
                **self._said.get(lora_id, _NOTHING_SAID).model_dump(
                    include=set(_DEFAULTS), exclude_none=True
                ),
            }
            for lora_id, file in self._files.items()
        )

    def trigger_words(self, lora_id: str) -> tuple[str, ...]:
        """The trigger words of a LoRA, of which the first is its trigger."""
        said = self._said.get(lora_id, _NOTHING_SAID).trigger_words
        if said is not None:
            return clean_words(said)
        return self._files[lora_id].notes.trigger_words

    def file_of(self, lora_id: str) -> LoraFile:
        """The file of a LoRA as it is now. Raises RenderError if it is gone."""
        known = self._files.get(lora_id)
        if known is None or not _is_unchanged(known.stamp):
            self.refresh()
        file = self._files.get(lora_id)
        if file is None:
            raise RenderError(
                f"the LoRA {lora_id!r} is no longer in {self._path} "
                f"({self._why_gone(lora_id, known)}); put its file back or send the job again "
                "without it"
            )
        return file

    def _why_gone(self, lora_id: str, known: LoraFile | None) -> str:
        for refusal in self.refused:
            if refusal.path == known.path if known else refusal.path.stem == lora_id:
                return refusal.reason
        return "its file is gone"

    def _sort(self, folder: Path) -> tuple[dict[str, LoraFile], tuple[Refused, ...]]:
        files: dict[str, LoraFile] = {}
        refused: list[Refused] = []
        for path in _walk(folder, refused):
            try:
                found = inspect(Stamp.of(path))
                reason = found if isinstance(found, str) else self._enter(found, files)
            except OSError as error:
                reason = f"it cannot be read: {error.strerror}"
            if reason:
                refused.append(Refused(path, reason))
        return files, tuple(refused)

    def _enter(self, file: LoraFile, files: dict[str, LoraFile]) -> str | None:
        """Give the file an id in `files`, or return the reason why not. Raises OSError."""
        if self._family not in file.families:
            return f"it is for {' or '.join(file.families)}, and the model is of {self._family}"
        lora_id = _id_of(file)
        if lora_id in files:
            lora_id = f"{lora_id}~{digest_of(file.stamp)[:8]}"
        if len(lora_id) > _MAX_ID_CHARS or not lora_id.isprintable():
            return f"its name is longer than {_MAX_ID_CHARS} characters or not printable text"
        if lora_id in files:
            return f"it is a copy of {files[lora_id].path}"
        files[lora_id] = file
        return None


def _id_of(file: LoraFile) -> str:
    """The id that the file asks for."""
    version = file.notes.version_id
    return file.path.stem if version is None else f"civitai_{version}"


def _below(folder: Path | None, path: Path) -> str:
    """The path from the folder on, as text that can be published, whatever bytes it has."""
    shown = path.relative_to(folder) if folder and path != folder else path
    return os.fsencode(shown).decode("utf-8", "replace")


def _is_unchanged(stamp: Stamp) -> bool:
    try:
        return Stamp.of(stamp.path) == stamp
    except OSError:
        return False


def _walk(folder: Path, refused: list[Refused]) -> Iterator[Path]:
    """The files that may be LoRAs, in the order of their paths; links are followed, once."""

    def note(error: OSError) -> None:
        refused.append(Refused(Path(error.filename), f"it cannot be read: {error.strerror}"))

    seen: set[tuple[int, int]] = set()
    found = []
    for directory, folders, names in os.walk(folder, onerror=note, followlinks=True):
        try:
            status = os.stat(directory)
        except OSError as error:
            note(error)
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(directory, name) for name in names if _may_be_lora(name)]
    return iter(sorted(found))


def _may_be_lora(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not name.startswith(".")

"""The models of one slot: described to everyone at once, loaded when a job wants them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from daemon.errors import ModelError
from daemon.families import Model, ModelSpec, load, parameters_of
from daemon.families.folders import read_card
from daemon.loras import LoraFolder
from daemon.weights.places import located
from spool.catalogue import Catalogue, ModelEntry
from spool.picture_files import PictureFormat
from spool.settings import DaemonSettings, ModelSettings

log = logging.getLogger(__name__)

EMBEDDED = "embedded"


def specs_of(models: Sequence[ModelSettings], daemon: DaemonSettings) -> tuple[ModelSpec, ...]:
    """The configured models, or the embedded one if none is configured."""
    if not models:
        weights = Path(str(files("daemon") / "embedded" / "model"))
        return (ModelSpec(EMBEDDED, "sdxl", weights, default=True, device=daemon.device),)
    return tuple(ModelSpec(**dict(model), device=daemon.device) for model in models)


class Models:
    """The models that a slot serves, of which the one used last is in memory.

    One that cannot be described is told in the log and left out. Raises ModelError at once if
    that leaves none.
    """

    def __init__(
        self, specs: Sequence[ModelSpec], output_format: PictureFormat = PictureFormat.PNG
    ) -> None:
        self._specs: dict[str, ModelSpec] = {}
        described = []
        faults = []
        for named in specs:
            try:
                spec = located(named)
                described.append(_entry(spec, output_format))
            except ModelError as error:
                faults.append(str(error))
            else:
                self._specs[spec.name] = spec
        if not described:
            raise ModelError("; ".join(faults))
        for fault in faults:
            log.error("%s; the other models are served", fault)
        self._folders = {
            spec.name: LoraFolder(spec.loras, spec.family, spec.lora)
            for spec in self._specs.values()
        }
        self._described = tuple(described)
        self._told: set[str] = set()
        self._list_loras()
        self._loaded: Model | None = None

    def refresh(self) -> None:
        """Find the LoRAs that were added or taken away since; cheap where none were."""
        changed = [folder.refresh() for folder in self._folders.values()]
        if any(changed):
            self._list_loras()

    def _list_loras(self) -> None:
        reports = {report for folder in self._folders.values() for report in folder.reports()}
        for report in sorted(reports - self._told):
            log.warning("%s", report)
        self._told = reports
        self.entries = tuple(self._with_loras(entry) for entry in self._described)
        self.catalogue = Catalogue({entry.name: entry for entry in self.entries})

    def _with_loras(self, entry: ModelEntry) -> ModelEntry:
        folder = self._folders[entry.name]
        refused = folder.listed_refused()
        return replace(entry, available_loras=folder.available(), refused_loras=refused)

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    @property
    def default(self) -> str:
        """The model of a job that names none."""
        entry = self.catalogue.default
        assert entry is not None
        return entry.name

    def load(self, name: str) -> Model:
        """The model `name`, loaded in place of the one before it. Raises ModelError."""
        if self._loaded is None or self._loaded.spec.name != name:
            # The old one goes first: two do not always fit.
            self._loaded = None
            started = time.monotonic()
            self._loaded = load(self._specs[name])
            log.info("model %s loaded in %.1f s", name, time.monotonic() - started)
        return self._loaded


def _entry(spec: ModelSpec, output_format: PictureFormat) -> ModelEntry:
    return ModelEntry(
        name=spec.name,
        family=spec.family,
        parameter_schema=parameters_of(spec).model_json_schema(),
        default=spec.default,
        output_format=output_format,
        suggested_prompts=read_card(spec).prompts,
    )

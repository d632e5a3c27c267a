"""The models of one slot: described to everyone at once, loaded when a job wants them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from daemon.errors import ModelError
from daemon.families import Model, ModelSpec, load, parameters_of
from daemon.families.folders import read_card
from daemon.families.profiles import Experience
from daemon.loras import LoraFolder
from daemon.warm import WarmModels
from daemon.weights.places import Stamp, located, stamp_of
from daemon.weights.sizes import expected_bytes
from spool.catalogue import Catalogue, ModelEntry, ModelState
from spool.picture_files import PictureFormat
from spool.settings import DaemonSettings, ModelSettings

log = logging.getLogger(__name__)

EMBEDDED = "embedded"


def specs_of(models: Sequence[ModelSettings], daemon: DaemonSettings) -> tuple[ModelSpec, ...]:
    """The configured models, or the embedded one with its LoRA if none is configured."""
    if not models:
        shipped = Path(str(files("daemon") / "embedded"))
        embedded = ModelSpec(
            EMBEDDED,
            "sdxl",
            shipped / "model",
            default=True,
            loras=shipped / "loras",
            device=daemon.device,
        )
        return (embedded,)
    return tuple(ModelSpec(**dict(model), device=daemon.device) for model in models)


class Models:
    """The models that a slot serves, of which those used last are in memory.

    One that cannot be described is told in the log and left out. Raises ModelError at once if
    that leaves none. `host_bytes` is the budget of `WarmModels`.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        output_format: PictureFormat = PictureFormat.PNG,
        host_bytes: int | None = None,
    ) -> None:
        self._specs: dict[str, ModelSpec] = {}
        described = []
        unusable = []
        for named in specs:
            try:
                spec = located(named)
                described.append(_entry(spec, output_format))
            except ModelError as error:
                unusable.append({"name": named.name, "family": named.family, "error": str(error)})
            else:
                self._specs[spec.name] = spec
        if not described:
            raise ModelError("; ".join(model["error"] for model in unusable))
        for model in unusable:
            log.error("%s; the other models are served", model["error"])
        self.unusable = tuple(unusable)
        """The models that cannot be described: name, family and error of each."""
        self._folders = {
            spec.name: LoraFolder(spec.loras, spec.family, spec.lora)
            for spec in self._specs.values()
        }
        self._described = tuple(described)
        self._told: set[str] = set()
        self._list_loras()
        self._warm = WarmModels(host_bytes)
        self._experiences = {name: Experience() for name in self._specs}
        self._faults: dict[str, _Fault] = {}

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
        self._listed = tuple(self._with_loras(entry) for entry in self._described)
        self.catalogue = Catalogue({entry.name: entry for entry in self._listed})

    @property
    def entries(self) -> tuple[ModelEntry, ...]:
        """The models as users see them, with the state that each is in now."""
        return tuple(self._with_state(entry) for entry in self._listed)

    def _with_state(self, entry: ModelEntry) -> ModelEntry:
        if entry.name in self._faults:
            message = self._faults[entry.name].message
            return replace(entry, state=ModelState.ERROR, error=message)
        if entry.name == self._warm.current:
            return replace(entry, state=ModelState.LOADED)
        return replace(entry, state=ModelState.WARM) if entry.name in self._warm else entry

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

    @property
    def current(self) -> str | None:
        """The model that renders; None before the first, and where one could not be loaded."""
        return self._warm.current

    def load_first(self) -> Model:
        """The default model, or where that cannot be loaded the first that can.

        Raises ModelError with the reasons if there is none.
        """
        names = [self.default, *(name for name in self._specs if name != self.default)]
        faults = []
        for name in names:
            try:
                return self.load(name)
            except ModelError as error:
                faults.append(str(error))
        raise ModelError("; ".join(faults))

    def load(self, name: str) -> Model:
        """The model `name`, where it renders, in place of the one before it.

        Raises ModelError in one line, and again at once as long as its files are the same.
        """
        spec = self._specs[name]
        known = self._faults.get(name)
        if known is not None and known.stamp == stamp_of(spec):
            raise ModelError(known.message)
        try:
            model = self._warm.use(
                name,
                lambda: expected_bytes(spec, _itemsize(spec)),
                lambda: load(spec, self._experiences[name]),
            )
        except ModelError as error:
            self._note_fault(spec, str(error))
            raise
        except (OSError, ValueError, TypeError, KeyError) as error:
            # What the libraries raise of a file, which is no fault of the job, nor of the spool.
            message = f"model {name}: cannot be loaded ({type(error).__name__}: {error})"
            self._note_fault(spec, " ".join(message.split())[:700])
            raise ModelError(self._faults[name].message) from error
        self._faults.pop(name, None)
        return model

    def unload(self) -> None:
        """Give back the memory of every model; the next job loads its own again."""
        if self._warm.current is not None:
            self._warm.clear()
            log.info("models unloaded: there was nothing to do for a while")

    def _note_fault(self, spec: ModelSpec, message: str) -> None:
        log.error("%s; the other models are served", message)
        self._faults[spec.name] = _Fault(message, stamp_of(spec))


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a model could not be loaded, and of which state of its files that was."""

    message: str
    stamp: Stamp


def _itemsize(spec: ModelSpec) -> int:
    """How many bytes most of the model's numbers will have."""
    # Loaded by now; the catalogue was published before.
    import torch  # noqa: PLC0415

    on_cpu = spec.device == "cpu" or (spec.device == "auto" and not torch.cuda.is_available())
    return 4 if (spec.dtype or ("float32" if on_cpu else "float16")) == "float32" else 2


def _entry(spec: ModelSpec, output_format: PictureFormat) -> ModelEntry:
    return ModelEntry(
        name=spec.name,
        family=spec.family,
        parameter_schema=parameters_of(spec).model_json_schema(),
        default=spec.default,
        output_format=output_format,
        suggested_prompts=read_card(spec).prompts,
    )

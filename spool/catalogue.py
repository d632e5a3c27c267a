"""What the slots can render, as they publish it in slots/<slot>.json.

Every door checks requests against the catalogue, which needs no GPU and no running daemon: a
slot's file stays when its daemon stops.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from spool import durable
from spool.layout import Spool
from spool.tally import Footprint, Tally

FORMAT = 1
ALIVE_SECONDS = 60.0
"""A slot whose report is older than this does not count as alive; it reports every ten seconds."""


class SlotState(StrEnum):
    """What a slot is doing."""

    STARTING = "starting"
    IDLE = "idle"
    RENDERING = "rendering"
    FULL = "full"
    """Nothing is started: the disk has less room than its floor."""
    STOPPED = "stopped"


class ModelState(StrEnum):
    """Where a model of a slot is."""

    COLD = "cold"
    """On the disk alone."""
    WARM = "warm"
    """In the host's memory, from where it renders within seconds."""
    LOADED = "loaded"
    """Where it renders: what the slot rendered with last."""
    ERROR = "error"
    """It could not be loaded; tried again once its files have changed."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model as users see it.

    `parameter_schema` is the JSON Schema (2020-12) of the requests it takes, defaults included;
    each of `available_loras` has id, name, trigger_words, weight and trigger_weight, each of
    `refused_loras`, which no job can name, a file and the reason.
    """

    name: str
    family: str
    parameter_schema: dict[str, Any]
    default: bool = False
    available_loras: tuple[dict[str, Any], ...] = ()
    refused_loras: tuple[dict[str, str], ...] = ()
    output_format: str = "png"
    suggested_prompts: tuple[str, ...] = ()
    state: ModelState = ModelState.COLD
    error: str | None = None
    """Why it cannot be loaded, in one line; None unless `state` is error."""


@dataclass(frozen=True, slots=True)
class SlotReport:
    """The content of slots/<slot>.json; `heartbeat` is the instant of its writing (ISO 8601)."""

    slot: str
    state: SlotState
    heartbeat: str
    pid: int
    device: str
    models: tuple[ModelEntry, ...]
    job_id: str | None = None
    unusable: tuple[dict[str, str], ...] = ()
    """The configured models that cannot be described: name, family and error of each."""
    tally: Tally | None = None
    """None where a daemon does not tell it."""
    memory: Footprint | None = None

    def encode(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a report; fields that we do not know are passed over.

        Raises ValueError, TypeError or KeyError if it is not one.
        """
        document = json.loads(data)
        if document.pop("format") != FORMAT:
            raise ValueError("unknown format of slot report")
        models = tuple(
            ModelEntry(
                **{
                    **model,
                    "available_loras": tuple(model["available_loras"]),
                    "refused_loras": tuple(model.get("refused_loras", ())),
                    "suggested_prompts": tuple(model["suggested_prompts"]),
                    "state": ModelState(model.get("state", ModelState.COLD)),
                }
            )
            for model in document.pop("models")
        )
        tally, memory = document.get("tally"), document.get("memory")
        read = {
            "state": SlotState(document["state"]),
            "models": models,
            "unusable": tuple(document.get("unusable", ())),
            "tally": None if tally is None else Tally(**_known(Tally, tally)),
            "memory": None if memory is None else Footprint(**_known(Footprint, memory)),
        }
        return cls(**{**_known(cls, document), **read})


def _known(kind: type[SlotReport | Tally | Footprint], document: dict[str, Any]) -> dict[str, Any]:
    """What `document` says of the fields of `kind`."""
    return {each.name: document[each.name] for each in fields(kind) if each.name in document}


def publish_report(spool: Spool, report: SlotReport) -> None:
    """Replace the slot's report. Not durable: the next one is seconds away."""
    path = spool.slots / f"{report.slot}.json"
    durable.replace(path, report.encode(), scratch=spool.tmp, durable=False)


def read_reports(spool: Spool) -> tuple[SlotReport, ...]:
    """The reports of all slots, by name. What cannot be read is passed over, not removed."""
    reports = []
    for path in sorted(spool.slots.glob("*.json")):
        try:
            reports.append(SlotReport.decode(path.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return tuple(reports)


def age_seconds(report: SlotReport) -> float | None:
    """Seconds since the report was written; None if its heartbeat is no instant."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(report.heartbeat)).total_seconds()
    except (ValueError, TypeError):
        return None


def why_not_alive(report: SlotReport) -> str | None:
    """Why the slot does not count as alive, going by its report alone; None if it does."""
    if report.state is SlotState.STOPPED:
        return f"{report.slot} is stopped"
    age = age_seconds(report)
    if age is None:
        return f"{report.slot} reported at {report.heartbeat!r}, which is no instant"
    if age > ALIVE_SECONDS:
        return f"{report.slot} was last heard of {age:.0f} s ago, more than {ALIVE_SECONDS:.0f}"
    return None


def is_alive(report: SlotReport) -> bool:
    return why_not_alive(report) is None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models of all slots by name, in the order of the slots' reports."""

    models: dict[str, ModelEntry] = field(default_factory=dict)

    @classmethod
    def of(cls, reports: tuple[SlotReport, ...]) -> Self:
        models: dict[str, ModelEntry] = {}
        for report in reports:
            for model in report.models:
                models.setdefault(model.name, model)
        return cls(models)

    @classmethod
    def read(cls, spool: Spool) -> Self:
        return cls.of(read_reports(spool))

    @property
    def default(self) -> ModelEntry | None:
        """The model of a request that names none: the one marked default, else the first."""
        entries = list(self.models.values())
        return next((entry for entry in entries if entry.default), entries[0] if entries else None)

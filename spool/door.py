"""The check at every door: a request against what the models can render.

The models' own JSON Schemas are the source of ranges and defaults, so a job is refused where it
arrives, with the field named, and not hours later on the GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from spool.catalogue import Catalogue, ModelEntry
from spool.jobs import MAX_SEED, JobRequest, ResolvedJob
from spool.problems import FieldError, Problem

_LORA_WEIGHTS = frozenset({"weight", "trigger_weight"})
REFUSAL = "x-refusal"
"""The annotation of a field that a model does not take: the sentence to refuse it with."""


def resolve(request: JobRequest, seed: int, catalogue: Catalogue) -> ResolvedJob | None:
    """Write out everything that decides the picture of `request`, rendered with `seed`.

    None if the catalogue is empty: no model has been published yet, and the start resolves the
    job. Raises Problem (422) that names each field at fault.
    """
    if seed + request.count - 1 > MAX_SEED:
        detail = f"seed: {seed} + count {request.count} - 1 is above the largest seed, {MAX_SEED}"
        raise Problem.of_fields((FieldError(detail, "/seed"),))
    entry = _model_of(request, catalogue)
    if entry is None:
        return None
    asked = request.model_dump(mode="json", exclude_none=True)
    asked["loras"] = _loras(request, entry)
    wanted = {**_defaults(entry), **asked, "seed": seed, "model": entry.name}
    faults = tuple(_faults(wanted, entry))
    if faults:
        raise Problem.of_fields(faults)
    wanted.setdefault("negative_prompt", None)
    return ResolvedJob.model_validate(
        {name: wanted[name] for name in ResolvedJob.model_fields if name in wanted}
    )


def _model_of(request: JobRequest, catalogue: Catalogue) -> ModelEntry | None:
    if request.model is None or not catalogue.models:
        return catalogue.default
    entry = catalogue.models.get(request.model)
    if entry is None:
        known = ", ".join(catalogue.models)
        detail = f"model: no model is named {request.model!r}; there are {known}"
        raise Problem.of_fields((FieldError(detail, "/model"),))
    return entry


def _loras(request: JobRequest, entry: ModelEntry) -> list[dict[str, Any]]:
    """The request's LoRAs; what it does not say of one is that LoRA's own default."""
    known = {lora["id"]: lora for lora in entry.available_loras}
    return [
        {**lora.model_dump(), **{n: v for n, v in known.get(lora.id, {}).items() if n in unsaid}}
        for lora in request.loras
        for unsaid in (_LORA_WEIGHTS - lora.model_fields_set,)
    ]


def _defaults(entry: ModelEntry) -> dict[str, Any]:
    properties: dict[str, Any] = entry.parameter_schema.get("properties", {})
    return {
        name: schema["default"]
        for name, schema in properties.items()
        if schema.get("default") is not None
    }


def _faults(wanted: dict[str, Any], entry: ModelEntry) -> Iterator[FieldError]:
    for error in Draft202012Validator(entry.parameter_schema).iter_errors(wanted):
        yield _fault(error, entry)
    if REFUSAL in entry.parameter_schema.get("properties", {}).get("loras", {}):
        return
    known = {lora["id"] for lora in entry.available_loras}
    for index, lora in enumerate(wanted.get("loras", ())):
        if lora["id"] not in known:
            there_are = ", ".join(sorted(known)) or "none"
            yield FieldError(
                f"loras.{index}.id: model {entry.name!r} has no LoRA {lora['id']!r}; "
                f"available: {there_are}",
                f"/loras/{index}/id",
            )


def _fault(error: ValidationError, entry: ModelEntry) -> FieldError:
    refusal = error.schema.get(REFUSAL) if isinstance(error.schema, dict) else None
    # A nullable field is an anyOf; the branch that is not null says what is wrong.
    for branch in error.context or ():
        if branch.validator != "type":
            error = branch
            break
    parts = [str(part) for part in error.absolute_path]
    name = ".".join(parts) or "the job"
    pointer = "".join(f"/{part}" for part in parts)
    sentence = refusal or _sentence(error)
    return FieldError(f"{name}: {sentence} (model {entry.name!r})", pointer)


def _sentence(error: ValidationError) -> str:
    value: Any = error.instance
    limit: Any = error.validator_value
    match error.validator:
        case "multipleOf":
            below = value // limit * limit
            return f"{value} is not a multiple of {limit}; the nearest are {below}, {below + limit}"
        case "minimum":
            return f"{value} is below {limit}, the least"
        case "maximum":
            return f"{value} is above {limit}, the most {_condition(error)}".rstrip()
        case "enum":
            return f"{value!r} is unknown; there are {', '.join(map(str, limit))}"
        case "not":
            return f"must not contain {limit.get('title', 'what this model cannot take')}"
        case _:
            return str(error.message)[:300]


def _condition(error: ValidationError) -> str:
    """When the limit at fault holds, if not always; our own word in a model's schema."""
    schema: Any = error.schema
    return str(schema.get("when", ""))

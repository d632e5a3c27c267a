"""What a user may ask for (`JobRequest`) and what will be rendered (`ResolvedJob`).

A request is partial: what it leaves out, the model's defaults decide. Acceptance turns it into
a resolved job, in which everything that decides the picture is frozen, the seed included.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from spool.problems import FieldError, Problem

MAX_SEED = 2**53 - 1
"""The largest seed: every whole number up to here survives JSON in every language."""

MAX_PROMPT_CHARS = 20_000
MAX_COUNT = 100
_MAX_LORAS = 16
MAX_FAULTS = 20
"""How many faults of one request are told; 1 MB of unknown fields would grow to 60 MB of them."""


def _whole_number(value: object) -> object:
    # Lax pydantic takes true and "5" for whole numbers, strict refuses the valid 110.0.
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number, not a string or a boolean")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("must be a number, not a string or a boolean")
    return value


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the NUL character")
    return value


def _few(value: object) -> object:
    # Before each is looked at: 1 MB of LoRAs would make 300 MB of faults.
    if isinstance(value, list) and len(value) > _MAX_LORAS:
        raise ValueError(f"there are {len(value)}, at most {_MAX_LORAS} can be applied")
    return value


def _instant(value: object) -> object:
    # Lax pydantic takes numbers, and texts of digits, for seconds since 1970.
    if not isinstance(value, str | datetime) or (isinstance(value, str) and "T" not in value):
        raise ValueError("must be an instant with its offset, such as 2026-11-24T02:00:00+01:00")
    return value


# The range stands before the validator: after it, pydantic would drop it from the JSON Schema.
Seed = Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(_whole_number)]
Pixels = Annotated[int, Field(ge=64, le=4096), BeforeValidator(_whole_number)]
Steps = Annotated[int, Field(ge=1, le=200), BeforeValidator(_whole_number)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT), BeforeValidator(_whole_number)]
Priority = Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole_number)]
Guidance = Annotated[float, Field(ge=0, le=50, allow_inf_nan=False), BeforeValidator(_number)]
LoraWeight = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False), BeforeValidator(_number)]
TriggerWeight = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False), BeforeValidator(_number)]
Prompt = Annotated[str, Field(max_length=MAX_PROMPT_CHARS), AfterValidator(_no_nul)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
Label = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_no_nul)]


class LoraRequest(BaseModel):
    """A LoRA to apply: its id from `/api/info`, its weight, and the weight of its trigger."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Label = Field(description="Id of the LoRA, from available_loras of GET /api/info")
    weight: LoraWeight = Field(1.0, description="Strength of the LoRA")
    trigger_weight: TriggerWeight = Field(
        0.5, description="Prompt weight of the trigger words; 0 leaves them out"
    )


Loras = Annotated[tuple[LoraRequest, ...], Field(max_length=_MAX_LORAS), BeforeValidator(_few)]


class JobRequest(BaseModel):
    """What a user may write into a job file or post to `/api/generate`.

    Raises pydantic's ValidationError on an unknown field or a wrong type; `parse_request` turns
    that into a `Problem`. Sizes are in pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Prompt = Field(description="What the picture shows")
    negative_prompt: Prompt | None = Field(None, description="What the picture must not show")
    width: Pixels | None = Field(None, description="Width in pixels; null takes the model's own")
    height: Pixels | None = Field(None, description="Height in pixels; null takes the model's own")
    seed: Seed | None = Field(None, description="Seed of the first picture; null draws one")
    loras: Loras = Field((), description="LoRAs to apply (SDXL only)")
    model: Label | None = Field(None, description="Name of a model; null takes the default one")
    steps: Steps | None = Field(None, description="Denoising steps; null takes the model's own")
    guidance_scale: Guidance | None = Field(
        None, description="Classifier-free guidance scale; null takes the model's own"
    )
    sampler: Label | None = Field(None, description="Sampler; null takes the model's own")
    count: Count = Field(1, description="Pictures to render, with seeds seed, seed + 1, …")
    priority: Priority = Field(50, description="100 runs first, 1 last")
    not_before: Instant | None = Field(
        None, description="The job waits in the queue until then (ISO 8601 with offset)"
    )
    name: Label | None = Field(None, description="A name for people; genzo gives it no meaning")


class ResolvedJob(BaseModel):
    """A job in which everything that decides the picture is written out.

    Picture n of `count` (n from 0) is rendered with seed `seed + n`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    prompt: str
    negative_prompt: str | None
    width: int
    height: int
    seed: int
    steps: int
    guidance_scale: float
    sampler: str
    loras: tuple[LoraRequest, ...] = ()
    count: int = 1


def parse_request(document: object) -> JobRequest:
    """Read a decoded JSON document as a job request.

    Raises Problem (422) naming every field at fault, the first MAX_FAULTS if there are more.
    """
    if not isinstance(document, dict):
        kind = {list: "a list", str: "a string", type(None): "null"}.get(type(document), "a scalar")
        raise Problem(
            "Not a job",
            f"the document is {kind}; a job is one JSON object, such as "
            '{"prompt": "a red circle on a white background"}',
        )
    _refuse_many_unknown(document, JobRequest)
    loras = document.get("loras")
    for index, lora in enumerate(loras[:_MAX_LORAS] if isinstance(loras, list) else ()):
        if isinstance(lora, dict):
            _refuse_many_unknown(lora, LoraRequest, "loras", index)
    try:
        return JobRequest.model_validate(document)
    except ValidationError as error:
        raise _problem_of(error.errors()) from None


def _refuse_many_unknown(
    document: dict[str, Any], model: type[BaseModel], *location: str | int
) -> None:
    # pydantic would describe each of them before we cut the list.
    unknown = [name for name in document if name not in model.model_fields]
    if len(unknown) > MAX_FAULTS:
        raise _problem_of(
            [{"type": "extra_forbidden", "loc": (*location, name)} for name in unknown]
        )


def _problem_of(faults: list[Any]) -> Problem:
    errors = tuple(_field_error(fault) for fault in faults[:MAX_FAULTS])
    if len(faults) > MAX_FAULTS:
        errors += (FieldError(f"and {len(faults) - MAX_FAULTS} more faults"),)
    return Problem.of_fields(errors)


def _field_error(fault: Any) -> FieldError:
    location = [str(part)[:200] for part in fault["loc"]]
    pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in location)
    name = ".".join(location)[:200] or "the job"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(
            JobRequest.model_fields if len(location) == 1 else LoraRequest.model_fields
        )
        return FieldError(f"{name}: no such field; known fields are {known}", pointer)
    if fault["type"] == "missing":
        return FieldError(f"{name}: this field is required", pointer)
    message = fault["msg"].removeprefix("Value error, ")
    value = fault.get("input")
    shown = f" (got {value!r})" if isinstance(value, bool | int | float) else ""
    if isinstance(value, str):
        short = repr(value) if len(value) <= 40 else f"a string of {len(value)} characters"
        shown = f" (got {short})"
    return FieldError(f"{name}: {message[:1].lower()}{message[1:]}{shown}", pointer)

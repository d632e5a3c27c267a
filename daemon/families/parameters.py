"""How a family narrows the general job request to what its models take."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from spool.door import REFUSAL
from spool.jobs import JobRequest


class FamilyParameters(JobRequest):
    """Base of the families' parameters: null takes the default that the schema shows."""

    @model_validator(mode="before")
    @classmethod
    def _null_takes_the_default(cls, document: object) -> object:
        if not isinstance(document, dict):
            return document
        return {name: value for name, value in document.items() if value is not None}


def narrowed(kind: Any, **limits: float) -> Any:
    """One of the spool's numeric field types (`Pixels`, …) with limits of ours.

    `limits` are pydantic's ge, le and multiple_of and replace the spool's; its other checks,
    such as the one for whole numbers, stay.
    """
    number, _, *checks = get_args(kind)
    # The limits stand before the checks: after them, pydantic drops them from the JSON Schema.
    return Annotated[(number, Field(**limits), *checks)]  # type: ignore[call-overload]


def one_of(names: Collection[str]) -> Any:
    """A string that is one of the names; in JSON Schema an enum."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    schema = {"type": "string", "enum": list(names)}
    return Annotated[str, AfterValidator(check), WithJsonSchema(schema)]


def without(kind: Any, pattern: str, title: str) -> Any:
    """One of the spool's texts in which nothing matches `pattern`.

    `title` completes the sentence "must not contain …", here and at the door. In JSON Schema a
    `not`, so the pattern must mean the same to Python and to ECMAScript.
    """
    unwanted = re.compile(pattern)

    def check(value: str) -> str:
        if unwanted.search(value):
            raise ValueError(f"must not contain {title}")
        return value

    schema = Field(json_schema_extra={"not": {"pattern": pattern, "title": title}})
    return Annotated[kind, AfterValidator(check), schema]


def optional(kind: Any, default: object, description: str, **more: Any) -> tuple[Any, Any]:
    """A field of `create_parameters` that may be left out or null."""
    return (kind | None, Field(default, description=description, **more))


def refused(kind: Any, default: object, sentence: str) -> tuple[Any, Any]:
    """A field whose `kind` lets hardly anything through; `sentence` says why, and what to do."""
    return optional(kind, default, sentence, json_schema_extra={REFUSAL: sentence})


def create_parameters(
    spec: ModelSpec, fields: dict[str, Any], rules: Sequence[dict[str, Any]] = ()
) -> type[JobRequest]:
    """The parameters of one model: `JobRequest` with these fields replaced.

    `rules` are JSON Schemas that a job must match besides, at the door alone. Raises
    ModelError naming the first default that lies outside its own range.
    """
    parameters = create_model(
        f"{spec.family.capitalize()}Parameters",
        __base__=FamilyParameters,
        __config__=ConfigDict(json_schema_extra={"allOf": list(rules)}) if rules else None,
        __doc__=f"What a job for the model {spec.name} (family {spec.family}) may say.",
        **fields,
    )
    defaults = {name: field.default for name, field in parameters.model_fields.items()}
    try:
        parameters.model_validate({**defaults, "prompt": ""})
    except ValidationError as error:
        fault = error.errors()[0]
        raise ModelError(
            f"model {spec.name}: its default {fault['loc'][0]} of {fault['input']!r} is not "
            f"possible: {fault['msg'].removeprefix('Value error, ')}; correct it in the "
            f"configuration or in {spec.weights / 'genzo.json'}"
        ) from None
    return parameters


def default_size(parameters: type[JobRequest]) -> tuple[int, int]:
    """Width and height, in pixels, of a job that names none."""
    fields = parameters.model_fields
    return fields["width"].default, fields["height"].default

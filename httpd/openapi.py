"""The specification, OpenAPI 3.1.0, built from the table of routes.

3.1.0 and not 3.2, which the client generators do not read yet. An event stream is specified as
the schema of one event.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from pydantic.json_schema import models_json_schema

from httpd.bodies import ProblemBody
from httpd.endpoints import Answer, Endpoint
from httpd.gate import COOKIE, is_open
from spool.catalogue import Catalogue
from spool.jobs import JobRequest
from spool.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from pydantic import BaseModel

EVENT_STREAM = "text/event-stream"

_REFERENCE = "#/components/schemas/"
_PATH_PARAMETER = re.compile(r"{(\w+)}")
_PATH_PARAMETERS = {
    "job_id": ("Id of a job", "20261123T121728417-7f3a9c"),
    "filename": ("Name of a picture", "20261123T121728417-7f3a9c-0.png"),
}

_SECURITY: Mapping[str, Any] = {
    "token": {"type": "http", "scheme": "bearer"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}

Mode = Literal["validation", "serialization"]


def specification(
    endpoints: Sequence[Endpoint],
    version: str,
    parameter_schema: Mapping[str, Any] | None,
    *,
    closed: bool = False,
) -> dict[str, Any]:
    """The whole document.

    `parameter_schema`, the JSON Schema of the default model's requests, takes the place of the
    general request's; without one the general request is specified. `closed` says that a token
    is asked for.
    """
    schemas = _schemas(endpoints)
    live = None
    if parameter_schema is not None:
        live = _hoist(parameter_schema, schemas)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, live)
        if closed and not is_open(endpoint.path):
            operation["security"] = [{name: []} for name in _SECURITY]
            operation["responses"]["401"] = _problem(401, "No valid token was shown")
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    security = {"securitySchemes": _SECURITY} if closed else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "genzo",
            "version": version,
            "summary": "Text to image: jobs, live progress and pictures",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": schemas, **security},
    }


def request_schema(catalogue: Catalogue) -> dict[str, Any] | None:
    """The schema of the default model's requests, with the names that are known now.

    A model's own schema takes any name, since other models come and go; the door does not.
    """
    if catalogue.default is None:
        return None
    schema = copy.deepcopy(catalogue.default.parameter_schema)
    properties = schema.get("properties", {})
    for each in properties.values():
        _without_nul(each)
    loras = [str(lora["id"]) for lora in catalogue.default.available_loras]
    if "model" in properties:
        _narrow(properties["model"], list(catalogue.models))
    if "loras" in properties and not loras:
        properties["loras"]["maxItems"] = 0
    elif "LoraRequest" in schema.get("$defs", {}):
        _narrow(schema["$defs"]["LoraRequest"]["properties"]["id"], loras)
    return schema


def _without_nul(schema: dict[str, Any]) -> None:
    """Say of the free text that `schema` takes what the door does: no NUL in it."""
    for choice in schema.get("anyOf", [schema]):
        if choice.get("type") == "string" and not choice.keys() & {"enum", "format", "pattern"}:
            choice["pattern"] = "^[^\\x00]*$"


def _narrow(schema: dict[str, Any], names: list[str]) -> None:
    """Let the strings that `schema` takes be these `names` only."""
    for choice in schema.get("anyOf", [schema]):
        if choice.get("type") == "string":
            choice.pop("pattern", None)
            choice["enum"] = names


def _schemas(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    models: dict[tuple[type[BaseModel], Mode], None] = {(ProblemBody, "serialization"): None}
    for endpoint in endpoints:
        if endpoint.takes is not None:
            models[endpoint.takes, "validation"] = None
        for answer in endpoint.answers.values():
            if answer.body is not None:
                models[answer.body, "serialization"] = None
    _, document = models_json_schema(list(models), ref_template=_REFERENCE + "{model}")
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def _hoist(schema: Mapping[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """`schema` with its own definitions moved into `schemas`.

    A reference like `#/$defs/X` counts from the root of the document it stands in.
    """
    names = {}
    for name in schema.get("$defs", {}):
        names[name] = f"Model{name}"
    for name, definition in schema.get("$defs", {}).items():
        # Client generators name classes by titles, and ours has that one too.
        schemas[names[name]] = {**_renamed(definition, names), "title": names[name]}
    bare = {key: value for key, value in schema.items() if key not in {"$defs", "$schema", "$id"}}
    renamed: dict[str, Any] = _renamed(bare, names)
    return renamed


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        name = reference.removeprefix("#/$defs/")
        return {**value, "$ref": _REFERENCE + names.get(name, name)}
    return {key: _renamed(item, names) for key, item in value.items()}


def _operation(endpoint: Endpoint, live: dict[str, Any] | None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [*_path_parameters(endpoint.path), *_other_parameters(endpoint)],
        "responses": {
            **{str(status): _answer(answer) for status, answer in endpoint.answers.items()},
            **{str(status): _problem(status, text) for status, text in endpoint.errors.items()},
        },
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.takes is not None:
        general = {"$ref": _REFERENCE + endpoint.takes.__name__}
        schema = live if live and endpoint.takes is JobRequest else general
        examples = {name: {"value": body} for name, body in endpoint.examples.items()}
        content = {"application/json": {"schema": schema, "examples": examples}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name][0],
            "schema": {"type": "string", "examples": [_PATH_PARAMETERS[name][1]]},
        }
        for name in _PATH_PARAMETER.findall(path)
    ]


def _other_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": parameter.name,
            "in": parameter.place,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }
        for parameter in endpoint.parameters
    ]


def _answer(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in answer.headers.items()
        }
    content: dict[str, Any] = {}
    if answer.body is not None:
        content["schema"] = {"$ref": _REFERENCE + answer.body.__name__}
        if answer.media_type == EVENT_STREAM:
            content["schema"] = _event(content["schema"])
        if answer.example is not None:
            content["example"] = answer.example
    elif answer.media_type != "application/json":
        content["schema"] = {"type": "string"}
    if content:
        response["content"] = {answer.media_type: content}
    return response


def _event(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["data"],
        "properties": {
            "id": {"type": "string"},
            "retry": {"type": "integer"},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": data,
            },
        },
    }


def _problem(status: int, description: str) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE + ProblemBody.__name__}}}
    return {"description": description or HTTPStatus(status).phrase, "content": content}

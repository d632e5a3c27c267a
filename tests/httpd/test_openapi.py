"""The specification: valid, complete, and true to what is served."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from httpd import examples
from httpd.openapi import specification
from httpd.table import ENDPOINTS, routes
from tests.httpd.conftest import Served
from tests.httpd.stand_in import parameter_schema

if TYPE_CHECKING:
    import httpx2


@pytest.fixture
def document(client: httpx2.Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


def references(value: Any) -> set[str]:
    """Every $ref in a document."""
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*map(references, value.values()))


def test_it_is_valid_with_and_without_a_model(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)
    validate(specification(ENDPOINTS, "0", None))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {ref.removeprefix("#/components/schemas/") for ref in references(document)} <= set(
        schemas
    )


def test_every_route_of_the_guide_is_in_it(document: dict[str, Any], guide: str) -> None:
    for method, path in re.findall(r"- `(GET|POST) (/[^`]+)`", guide):
        assert method.lower() in document["paths"][path]


def test_every_served_route_is_in_it_but_the_pages(document: dict[str, Any]) -> None:
    pages = {"/", "/docs", "/docs/{name}", "/static/{name}", "/openapi.json"}
    served = {route.path for route in routes() if isinstance(route, Route)}
    assert served - pages == set(document["paths"])


def test_a_request_is_specified_by_the_model_that_is_served(document: dict[str, Any]) -> None:
    content = document["paths"]["/api/generate"]["post"]["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    assert schema["properties"]["steps"] == parameter_schema()["properties"]["steps"]
    assert schema["properties"]["loras"]["items"]["$ref"] == "#/components/schemas/ModelLoraRequest"
    shown = content["application/json"]["examples"]
    assert [example["value"] for example in shown.values()] == list(examples.REQUESTS.values())


def test_without_a_model_the_general_request_is_specified() -> None:
    document = specification(ENDPOINTS, "0", None)
    content = document["paths"]["/api/generate"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/JobRequest"}
    width = document["components"]["schemas"]["JobRequest"]["properties"]["width"]
    assert width["anyOf"][0]["minimum"] == 64


def test_an_event_stream_is_specified_as_its_events(document: dict[str, Any]) -> None:
    answer = document["paths"]["/api/sse/{job_id}"]["get"]["responses"]["200"]
    event = answer["content"]["text/event-stream"]["schema"]
    assert event["properties"]["data"]["contentSchema"] == {
        "$ref": "#/components/schemas/ProgressEvent"
    }


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    names = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]
    assert len(names) == len(set(names)) == len(ENDPOINTS)


def test_every_error_is_specified_as_a_problem(document: dict[str, Any], served: Served) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]

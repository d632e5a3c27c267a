"""An endpoint: one method of one path, as it is served and as it is specified."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from pydantic import BaseModel

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query or of the headers; those of the path are read off the path."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """One way an endpoint answers.

    `body` is the model of its body; where `media_type` is that of an event stream, of each
    event's data.
    """

    description: str
    body: type[BaseModel] | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    example: Any = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table of routes; `errors` are the statuses of its problems."""

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    errors: Mapping[int, str] = field(default_factory=dict)
    parameters: Sequence[Parameter] = ()
    takes: type[BaseModel] | None = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""


def routes_of(endpoints: Sequence[Endpoint]) -> list[Route]:
    """One route for each path, so that its 405 names every method the path takes."""
    paths: dict[str, dict[str, Handler]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint.handler
    return [
        Route(path, _dispatcher(handlers), methods=list(handlers), name=path)
        for path, handlers in paths.items()
    ]


def _dispatcher(handlers: Mapping[str, Handler]) -> Handler:
    async def dispatch(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return dispatch

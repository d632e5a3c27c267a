"""What can be wrong with a request, in the words a person gets to read (RFC 9457).

SpoolError        base of every error this package raises on purpose
├── Problem       a request that is refused; becomes problem JSON at every door
├── NotASpool     the directory carries no marker, or one we do not understand
└── SlotBusy      another process holds the slot's lock
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class SpoolError(Exception):
    """Base of the errors that callers are expected to handle."""


class NotASpool(SpoolError):
    """The directory is not a spool of a format we know."""


class SlotBusy(SpoolError):
    """The slot's lock is held by another process."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault: `detail` is a sentence, `pointer` a JSON pointer into the request or None."""

    detail: str
    pointer: str | None = None

    def as_json(self) -> dict[str, str]:
        if self.pointer is None:
            return {"detail": self.detail}
        return {"detail": self.detail, "pointer": f"#{self.pointer}"}


class Problem(SpoolError):
    """A refused request, with every fault that was found.

    `status` is the HTTP status (400–599) that fits; `detail` is one sentence that names the
    field or the byte and says what to do. `as_json()` is the body of the HTTP answer, the
    content of `rejected/NAME.problem.json` and the `error` of a failed job's record alike.
    """

    def __init__(
        self,
        title: str,
        detail: str,
        *,
        status: int = HTTPStatus.UNPROCESSABLE_ENTITY,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.title = title
        self.detail = detail
        self.status = int(status)
        self.errors = errors

    @classmethod
    def of_fields(cls, errors: tuple[FieldError, ...]) -> Problem:
        """The problem of a request whose fields are at fault; `detail` joins their sentences."""
        detail = "; ".join(error.detail for error in errors)
        return cls("The job is not valid", detail, errors=errors)

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [error.as_json() for error in self.errors]
        return body


def on_hold(reason: str) -> dict[str, Any]:
    """The `error` of a job that is held, for the reason that stands in its sidecar."""
    return {"type": "about:blank", "title": "On hold", "status": 500, "detail": reason}

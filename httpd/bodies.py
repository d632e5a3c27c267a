"""The bodies of answers, as pydantic models: what is sent, and what the specification says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spool.catalogue import ModelState, SlotState
from spool.states import Status


class Body(BaseModel):
    model_config = ConfigDict(frozen=True)


class FieldFault(Body):
    """One fault of a refused request."""

    detail: str = Field(description="What is wrong, and what to do")
    pointer: str | None = Field(None, description="JSON pointer to the field, such as #/width")


class ProblemBody(Body):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="Always about:blank")
    title: str
    status: int = Field(description="The HTTP status")
    detail: str = Field(description="One sentence that names the field and says what to do")
    errors: list[FieldFault] | None = Field(None, description="Every fault that was found")


ETA = Field(
    description="Estimated seconds until the job is finished, waiting included; null if unknown"
)


class Accepted(Body):
    """A job that was accepted."""

    job_id: str
    status: Status
    queue_position: int | None = Field(description="From 1; null once it has left the queue")
    eta_seconds: float | None = ETA
    status_url: str
    sse_url: str


class JobImage(Body):
    """One picture of a finished job."""

    filename: str
    index: int = Field(description="From 0, in the order of the seeds")
    seed: int
    width: int
    height: int
    bytes: int
    sha256: str
    url: str
    thumbnail_url: str


class JobBody(Body):
    """A job, waiting, running or finished."""

    job_id: str
    status: Status
    step: int = Field(description="Steps done, over all pictures of the job")
    total_steps: int | None = Field(description="Null until the job starts")
    queue_position: int | None = Field(description="From 1; null unless the job is queued")
    eta_seconds: float | None = ETA
    request: dict[str, Any] = Field(description="What was asked")
    job: dict[str, Any] | None = Field(description="What is rendered, every default written out")
    seed: int = Field(description="Seed of the first picture")
    images: list[JobImage]
    error: ProblemBody | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    starts: int = Field(description="How often rendering began")
    slot: str | None
    retry_of: str | None
    status_url: str
    sse_url: str


class JobList(Body):
    """One page of the unfinished jobs, then of the finished ones."""

    jobs: list[JobBody]
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last")


class ImageLink(Body):
    """One picture as the last event of a job names it."""

    filename: str
    url: str
    thumbnail_url: str
    index: int | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None


class ProgressEvent(Body):
    """One event of a job's progress."""

    status: Status
    step: int
    total_steps: int | None
    preview: str | None = Field(
        None, description="JPEG as a data URL; only where it changed with this event"
    )
    queue_position: int | None = Field(None, description="From 1, while the job waits")
    eta_seconds: float | None = Field(
        None, description="Estimated seconds until it is finished, while it waits"
    )
    images: list[ImageLink] | None = Field(None, description="In the last event")
    error: ProblemBody | None = Field(
        None, description="Why it failed, in its last event, or is held"
    )


class Picture(Body):
    """One picture of the gallery."""

    id: str
    filename: str
    job_id: str
    url: str
    thumbnail_url: str
    width: int
    height: int
    created_at: str
    metadata: dict[str, Any] = Field(
        description="Prompt, seed of this picture, model, sampler and what else decided it"
    )


class PictureList(Body):
    """One page of the gallery, the newest first."""

    images: list[Picture]
    total: int | None = Field(
        description="How many there are; null while the index is built, or if a search finds "
        "very many"
    )
    limit: int
    offset: int
    next: str | None = Field(description="Address of the next page")
    next_cursor: str | None = Field(
        description="The `cursor` of the next page: behind it nothing is repeated or left out, "
        "whatever comes or goes meanwhile"
    )


class ModelBody(Body):
    """A model that a slot serves."""

    name: str
    family: str
    default: bool
    parameter_schema: dict[str, Any] = Field(description="JSON Schema (2020-12) of its requests")
    available_loras: list[dict[str, Any]]
    output_format: str
    suggested_prompts: list[str]
    state: ModelState = Field(description="Whether it has to be loaded first")
    error: str | None = Field(description="Why it cannot be loaded")


class QueueBody(Body):
    """How many jobs wait, run and are on hold."""

    queued: int
    processing: int
    held: int


class SlotBody(Body):
    """A daemon's slot as it last reported itself."""

    name: str
    state: SlotState
    heartbeat: str = Field(description="When it reported, ISO 8601")
    device: str
    job_id: str | None


class Info(Body):
    """The models and their parameters, the queue and the slots.

    The fields of the default model stand at the top too; they are null or empty until a daemon
    has published its models.
    """

    version: str
    model_name: str | None = Field(description="Name of the default model")
    model: ModelBody | None = Field(description="The default model")
    models: list[ModelBody]
    parameter_schema: dict[str, Any] | None
    available_loras: list[dict[str, Any]]
    output_format: str | None
    suggested_prompts: list[str]
    queue: QueueBody
    slots: list[SlotBody]


class SessionRequest(Body):
    """A token, to be changed for a cookie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str


class Health(Body):
    """That all is well."""

    status: str = Field(description="ok")

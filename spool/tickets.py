"""The content of a ticket: what was asked, by whom, and what will be rendered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

from spool.jobs import JobRequest, ResolvedJob
from spool.states import TicketName, rank_of

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Ticket:
    """An accepted job: who asked, what was asked, and what will be rendered.

    `job` is None when no model's parameters were known at acceptance: then the start resolves
    `request` with `seed`, which is drawn in either case. `origin` is `http`, `drop` or `cli`;
    `drop_name` is the dropped file's path below incoming/. `digest` is that of the request, `key`
    the one in seen/ under which it was accepted. `retry_of` is the job that this one repeats.
    """

    job_id: str
    request: JobRequest
    seed: int
    job: ResolvedJob | None
    origin: str
    owner_uid: int
    digest: str
    drop_name: str | None = None
    key: str | None = None
    retry_of: str | None = None

    @property
    def name(self) -> TicketName:
        """The name under which the ticket enters the queue."""
        return TicketName(rank_of(self.request.priority), self.job_id, 0)

    def encode(self) -> bytes:
        document = {
            "format": FORMAT,
            "job_id": self.job_id,
            "request": self.request.model_dump(mode="json", exclude_unset=True),
            "seed": self.seed,
            "job": self.job and self.job.model_dump(mode="json"),
            "origin": self.origin,
            "owner_uid": self.owner_uid,
            "digest": self.digest,
            "drop_name": self.drop_name,
            "key": self.key,
            "retry_of": self.retry_of,
        }
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a ticket. Raises ValueError if it is not one of our format."""
        document: dict[str, Any] = json.loads(data)
        if document.get("format") != FORMAT:
            raise ValueError(f"ticket of format {document.get('format')!r}, expected {FORMAT}")
        job = document["job"]
        return cls(
            job_id=document["job_id"],
            request=JobRequest.model_validate(document["request"]),
            seed=document["seed"],
            job=job and ResolvedJob.model_validate(job),
            origin=document["origin"],
            owner_uid=document["owner_uid"],
            digest=document["digest"],
            drop_name=document["drop_name"],
            key=document["key"],
            retry_of=document.get("retry_of"),
        )

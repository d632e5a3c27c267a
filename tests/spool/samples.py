"""A model, and jobs in every state, for tests."""

from __future__ import annotations

import hashlib
from typing import Any

from spool import acceptance
from spool.acceptance import Sender
from spool.catalogue import Catalogue, ModelEntry, SlotReport, SlotState
from spool.claims import Claim, Slot
from spool.gallery import PictureName, publish_picture
from spool.jobs import parse_request
from spool.layout import Spool
from spool.outcomes import Outcome, record_of
from spool.records import PictureRecord, Record
from spool.states import Status
from spool.tickets import Ticket

PNG = b"\x89PNG\r\n\x1a\n not really a picture"


def _whole(default: int | None, least: int, most: int, **more: Any) -> dict[str, Any]:
    number = {"type": "integer", "minimum": least, "maximum": most, **more}
    return {"anyOf": [number, {"type": "null"}], "default": default}


MODEL = ModelEntry(
    name="tiny",
    family="sdxl",
    default=True,
    parameter_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["prompt"],
        "properties": {
            "prompt": {"type": "string"},
            "negative_prompt": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "width": _whole(128, 64, 2048, multipleOf=8),
            "height": _whole(128, 64, 2048, multipleOf=8),
            "steps": _whole(20, 1, 150),
            "seed": _whole(None, 0, 2**53 - 1),
            "guidance_scale": {"type": "number", "minimum": 0, "maximum": 30, "default": 5.0},
            "sampler": {"enum": ["euler", "dpmpp_2m"], "default": "euler"},
            "loras": {"type": "array", "default": []},
            "count": {"type": "integer", "default": 1},
            "priority": {"type": "integer", "default": 50},
            "name": {"type": "string"},
            "not_before": {"type": "string", "format": "date-time"},
            "model": {"type": "string"},
        },
    },
    available_loras=(
        {
            "id": "ink",
            "name": "Ink",
            "trigger_words": ["ink"],
            "weight": 1.0,
            "trigger_weight": 0.5,
        },
    ),
)


def report(slot: str = "gpu0", *models: ModelEntry) -> SlotReport:
    return SlotReport(
        slot=slot,
        state=SlotState.IDLE,
        heartbeat="2026-11-23T12:00:00.000Z",
        pid=1,
        device="cpu",
        models=models or (MODEL,),
    )


def draw(
    spool: Spool,
    *,
    drop_name: str | None = None,
    key: str | None = None,
    wish: str | None = None,
    **fields: Any,
) -> Ticket:
    """A ticket that is not in the queue yet."""
    request = parse_request({"prompt": "a red circle", **fields})
    origin = "drop" if drop_name else "http"
    sender = Sender(origin, 1000, drop_name, key and acceptance.key_of(key), wish)
    return acceptance.draw_ticket(spool, request, Catalogue({MODEL.name: MODEL}), sender)


def queue_job(spool: Spool, **fields: Any) -> Ticket:
    """A queued job; not durable, since a test need not wait for the disk."""
    ticket = draw(spool, **fields)
    (spool.queued / str(ticket.name)).write_bytes(ticket.encode())
    return ticket


def claim_job(slot: Slot, **fields: Any) -> Claim:
    """A job that `slot` has claimed."""
    claim = slot.claim(queue_job(slot.spool, **fields).name)
    assert claim is not None
    return claim


def hold_job(spool: Spool, **fields: Any) -> Ticket:
    """A job on hold."""
    ticket = queue_job(spool, **fields)
    (spool.queued / str(ticket.name)).rename(spool.held / str(ticket.name))
    return ticket


def completed(ticket: Ticket, starts: int = 1) -> Record:
    """The record of `ticket`, all of its pictures rendered."""
    pictures = tuple(
        PictureRecord(
            filename=str(PictureName(ticket.job_id, index)),
            index=index,
            seed=ticket.seed + index,
            width=128,
            height=128,
            bytes=len(PNG),
            sha256=hashlib.sha256(PNG).hexdigest(),
        )
        for index in range(ticket.request.count)
    )
    outcome = Outcome(Status.COMPLETED, starts, "gpu0", "2026-11-23T12:00:00.000Z", pictures)
    return record_of(ticket, outcome)


def publish_pictures(spool: Spool, ticket: Ticket) -> None:
    for index in range(ticket.request.count):
        publish_picture(spool, PictureName(ticket.job_id, index), PNG, b"thumbnail")

"""A daemon without a GPU: moves jobs through their states with the spool's own functions."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from spool import feed, gallery, ids
from spool.catalogue import ModelEntry, SlotReport, SlotState, publish_report
from spool.claims import Claim, Slot
from spool.finishing import finish
from spool.gallery import PictureName
from spool.layout import Spool
from spool.live import LiveWriter
from spool.outcomes import Outcome, record_of
from spool.picture_files import PictureFormat
from spool.records import PictureRecord, Record
from spool.states import Status, scan

LORA = "civitai_1963644"


def parameter_schema() -> dict[str, Any]:
    """A schema such as a daemon publishes."""

    def whole(default: int | None, least: int, most: int, **more: Any) -> dict[str, Any]:
        number = {"type": "integer", "minimum": least, "maximum": most, **more}
        return {"anyOf": [number, {"type": "null"}], "default": default}

    return {
        "title": "TestParameters",
        "type": "object",
        "additionalProperties": False,
        "required": ["prompt"],
        "$defs": {
            "LoraRequest": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id"],
                "properties": {
                    "id": {"type": "string", "minLength": 1},
                    "weight": {"type": "number", "minimum": -2, "maximum": 2, "default": 1.0},
                    "trigger_weight": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": 2,
                        "default": 0.5,
                    },
                },
            }
        },
        "properties": {
            "prompt": {"type": "string", "maxLength": 20000},
            "negative_prompt": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "width": whole(256, 64, 2048, multipleOf=8),
            "height": whole(256, 64, 2048, multipleOf=8),
            "seed": whole(None, 0, 2**53 - 1),
            "steps": whole(20, 1, 200),
            "guidance_scale": {
                "anyOf": [{"type": "number", "minimum": 0, "maximum": 30}, {"type": "null"}],
                "default": 5.0,
            },
            "sampler": {
                "anyOf": [{"type": "string", "enum": ["euler", "ddim"]}, {"type": "null"}],
                "default": "euler",
            },
            "loras": {
                "type": "array",
                "maxItems": 16,
                "items": {"$ref": "#/$defs/LoraRequest"},
                "default": [],
            },
            "model": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "count": {"type": "integer", "minimum": 1, "maximum": 100, "default": 1},
            "priority": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
            "name": {
                "anyOf": [
                    {"type": "string", "minLength": 1, "maxLength": 200},
                    {"type": "null"},
                ],
                "default": None,
            },
        },
    }


def report(spool: Spool, state: SlotState = SlotState.IDLE, heartbeat: str = "") -> None:
    """Publish what slot 0 serves: one model with one LoRA."""
    lora = {
        "id": LORA,
        "name": "a style",
        "trigger_words": ["style"],
        "weight": 1.0,
        "trigger_weight": 0.5,
    }
    model = ModelEntry(
        "tiny",
        "sdxl",
        parameter_schema(),
        default=True,
        available_loras=(lora,),
        suggested_prompts=("a red circle",),
    )
    instant = heartbeat or ids.now()
    publish_report(spool, SlotReport("0", state, instant, 1, "cpu", (model,)))


def picture_bytes(kind: str, size: tuple[int, int] = (32, 24), colour: str = "teal") -> bytes:
    """A real picture file of one colour; `kind` is PNG, JPEG or WEBP."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


@dataclass
class Run:
    """A job that the stand-in renders."""

    spool: Spool
    claim: Claim
    live: LiveWriter
    format: PictureFormat = PictureFormat.PNG

    @property
    def name(self) -> PictureName:
        return PictureName(self.claim.job_id, 0, self.format)

    def step(self, step: int, total_steps: int = 20, preview: bytes | None = None) -> None:
        self.live.progress(step, total_steps, preview)

    def publish(self, colour: str = "teal") -> PictureRecord:
        """Publish the job's picture as a daemon does, feed included."""
        picture = picture_bytes(self.format.upper(), colour=colour)
        thumbnail = picture_bytes("WEBP", (16, 12), colour)
        gallery.publish_picture(self.spool, self.name, picture, thumbnail)
        feed.announce(self.spool, str(self.name), {"width": 32, "height": 24})
        digest = hashlib.sha256(picture).hexdigest()
        seed = self.claim.ticket.seed
        return PictureRecord(str(self.name), 0, seed, 32, 24, len(picture), digest)

    def complete(self, colour: str = "teal") -> Record:
        images = (self.publish(colour),)
        return self._end(Outcome(Status.COMPLETED, self.claim.name.starts, "0", images=images))

    def fail(self, detail: str) -> Record:
        error = {"type": "about:blank", "title": "Failed", "status": 500, "detail": detail}
        return self._end(Outcome(Status.FAILED, self.claim.name.starts, "0", error=error))

    def stop(self) -> Record:
        """End the job as cancelled."""
        return self._end(Outcome(Status.CANCELLED, self.claim.name.starts, "0"))

    def put_back(self) -> None:
        self.live.__exit__()
        self.claim.put_back(0)

    def _end(self, outcome: Outcome) -> Record:
        self.live.__exit__()
        return finish(self.claim, record_of(self.claim.ticket, outcome))


class StandIn:
    """Holds slot 0 and renders nothing."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.slot = Slot.acquire(spool, "0", timeout_seconds=5)

    def claim(self, job_id: str) -> Claim:
        name = next(name for name in scan(self.spool.queued) if name.job_id == job_id)
        claim = self.slot.claim(name)
        assert claim is not None
        return claim

    def begin(self, job_id: str) -> Run:
        """Claim and start the queued job `job_id`."""
        claim = self.claim(job_id).start()
        return Run(self.spool, claim, LiveWriter(self.spool, job_id, claim.name.starts))

    def render(self, job_id: str, colour: str = "teal") -> Record:
        """Bring a queued job to its end."""
        run = self.begin(job_id)
        run.step(20)
        return run.complete(colour)

"""GET /api/info, /healthz and /readyz."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from httpd.bodies import Health, Info, ModelBody, QueueBody, SlotBody
from httpd.context import Context, context_of, send_body
from spool import durable
from spool.catalogue import Catalogue, ModelEntry, SlotReport, read_reports, why_not_alive
from spool.layout import Spool
from spool.problems import Problem
from spool.room import NoRoom, require_room
from spool.states import scan
from spool.version import VERSION

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def get_info(request: Request) -> Response:
    """The models and their parameters, the queue and the slots."""
    return send_body(await run_in_threadpool(_info, context_of(request).spool))


async def get_health(_request: Request) -> Response:
    """That the process answers."""
    return send_body(Health(status="ok"))


async def get_readiness(request: Request) -> Response:
    """Whether jobs are rendered now; 503 with the reason otherwise."""
    reason = await run_in_threadpool(_why_not_ready, context_of(request))
    if reason is not None:
        raise Problem("Not ready", reason, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return send_body(Health(status="ok"))


def _info(spool: Spool) -> Info:
    reports = read_reports(spool)
    catalogue = Catalogue.of(reports)
    default = _model_body(catalogue.default) if catalogue.default else None
    return Info(
        version=VERSION,
        model_name=default.name if default else None,
        model=default,
        models=[_model_body(entry) for entry in catalogue.models.values()],
        parameter_schema=default.parameter_schema if default else None,
        available_loras=default.available_loras if default else [],
        output_format=default.output_format if default else None,
        suggested_prompts=default.suggested_prompts if default else [],
        queue=QueueBody(
            queued=len(scan(spool.queued)),
            processing=sum(len(scan(slot)) for slot in spool.active.iterdir()),
            held=len(scan(spool.held)),
        ),
        slots=[_slot_body(report) for report in reports],
    )


def _model_body(entry: ModelEntry) -> ModelBody:
    return ModelBody.model_validate(
        {
            **asdict(entry),
            "available_loras": list(entry.available_loras),
            "suggested_prompts": list(entry.suggested_prompts),
        }
    )


def _slot_body(report: SlotReport) -> SlotBody:
    return SlotBody(
        name=report.slot,
        state=report.state,
        heartbeat=report.heartbeat,
        device=report.device,
        job_id=report.job_id,
    )


def _why_not_ready(context: Context) -> str | None:
    spool = context.spool
    try:
        with durable.scratch_file(spool.tmp, b"", durable=False):
            pass
        require_room(spool, context.settings.disk)
    except NoRoom as problem:
        return str(problem)
    except OSError as error:
        return f"the spool {spool.root} cannot be written: {error.strerror}"
    reports = read_reports(spool)
    if not reports:
        return "no daemon has reported yet; start one with: genzod"
    faults = [why_not_alive(report) for report in reports]
    if None in faults:
        return None
    return "no slot is alive: " + "; ".join(fault for fault in faults if fault)

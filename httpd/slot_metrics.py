"""Metrics of the slots, as they report themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from spool.catalogue import ModelState, SlotReport, SlotState, is_alive, read_reports
from spool.layout import Spool
from spool.states import Status

_COUNTERS = {
    "pictures": ("genzo_pictures_published", "Pictures that the slot published"),
    "steps": ("genzo_denoising_steps", "Steps of denoising that the slot did"),
    "rendering_seconds": ("genzo_rendering_seconds", "Time for denoising and decoding"),
    "model_swaps": ("genzo_model_swaps", "Changes of the model that renders"),
    "model_swap_seconds": ("genzo_model_swap_seconds", "Time for changes of the model"),
}
_MEMORY = {
    "resident_bytes": ("genzo_slot_resident_memory_bytes", "Host memory of the slot's daemon"),
    "gpu_reserved_bytes": (
        "genzo_slot_gpu_reserved_memory_bytes",
        "GPU memory that the slot's daemon holds",
    ),
    "gpu_free_bytes": ("genzo_slot_gpu_free_memory_bytes", "Free memory of the slot's GPU"),
    "gpu_size_bytes": ("genzo_slot_gpu_memory_size_bytes", "All memory of the slot's GPU"),
}


def slots(spool: Spool) -> Iterator[Metric]:
    """What every slot last reported. Raises OSError."""
    # A copy of a slot's file says the same twice, and Prometheus refuses all of such a scrape.
    reports = list({report.slot: report for report in read_reports(spool)}.values())
    alive = [report for report in reports if is_alive(report)]
    yield GaugeMetricFamily(
        "genzo_slots_alive", "Slots that do not say they stopped, and report", len(alive)
    )
    yield from _states(reports)
    yield from _ages(reports)
    yield from _counters(reports)
    # Of the dead nothing is in memory, whatever they said last.
    yield from _memory(alive)


def _states(reports: Sequence[SlotReport]) -> Iterator[Metric]:
    slots = GaugeMetricFamily(
        "genzo_slot_state", "1 for the state that the slot reported last", labels=["slot", "state"]
    )
    models = GaugeMetricFamily(
        "genzo_model_state", "1 for the model's state", labels=["slot", "model", "state"]
    )
    for report in reports:
        for slot_state in SlotState:
            slots.add_metric([report.slot, slot_state], int(report.state is slot_state))
        for model in report.models:
            for state in ModelState:
                models.add_metric([report.slot, model.name, state], int(model.state is state))
    yield slots
    yield models


def _ages(reports: Sequence[SlotReport]) -> Iterator[Metric]:
    ages = GaugeMetricFamily(
        "genzo_slot_heartbeat_age_seconds", "Time since the slot's last report", labels=["slot"]
    )
    starts = GaugeMetricFamily(
        "genzo_slot_start_time_seconds",
        "When the slot's daemon took it, since the Unix epoch",
        labels=["slot"],
    )
    for report in reports:
        said = _timestamp(report.heartbeat)
        if said is not None:
            ages.add_metric([report.slot], max(0.0, datetime.now(UTC).timestamp() - said))
        began = _timestamp(report.tally.since) if report.tally else None
        if began is not None:
            starts.add_metric([report.slot], began)
    yield ages
    yield starts


def _counters(reports: Sequence[SlotReport]) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "genzo_jobs_ended", "Jobs that the slot ended", labels=["slot", "status"]
    )
    counters = {
        field: CounterMetricFamily(name, f"{text} since its daemon came", labels=["slot"])
        for field, (name, text) in _COUNTERS.items()
    }
    for report in reports:
        if report.tally is None:
            continue
        for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED):
            ended.add_metric([report.slot, status], getattr(report.tally, status))
        for field, counter in counters.items():
            counter.add_metric([report.slot], getattr(report.tally, field))
    yield ended
    yield from counters.values()


def _memory(alive: Sequence[SlotReport]) -> Iterator[Metric]:
    for field, (name, text) in _MEMORY.items():
        family = GaugeMetricFamily(name, text, labels=["slot"])
        for report in alive:
            size_bytes = getattr(report.memory, field) if report.memory else None
            if size_bytes is not None:
                family.add_metric([report.slot], size_bytes)
        yield family


def _timestamp(instant: str) -> float | None:
    try:
        return datetime.fromisoformat(instant).timestamp()
    except (ValueError, TypeError):
        return None

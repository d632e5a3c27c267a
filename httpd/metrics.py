"""GET /metrics: the spool, its slots and this server in the words of Prometheus.

Everything is looked up when it is asked for, on a thread, in a registry of our own. What counts
since a start comes from the slots' reports: no scrape walks the records or the gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from httpd import queue_metrics, slot_metrics
from httpd.connections import Connections
from httpd.context import Context, context_of
from spool.layout import Spool
from spool.problems import NotASpool

if TYPE_CHECKING:
    from starlette.requests import Request

OPENMETRICS = "application/openmetrics-text"


@dataclass(frozen=True, slots=True)
class Clients:
    """Who this server has at the moment; `connections` is None where nothing counts them."""

    job_streams: int
    gallery_streams: int
    connections: int | None


class Metrics(Collector):
    """The metrics of one scrape; a part of the spool that cannot be read is left out."""

    def __init__(self, context: Context, clients: Clients) -> None:
        self._context = context
        self._clients = clients

    def collect(self) -> Iterator[Metric]:
        yield from _of_clients(self._clients)
        spool = self._context.spool
        is_there = _is_there(spool)
        yield GaugeMetricFamily(
            "genzo_spool_available",
            "1 if the spool is there and can be read, else 0",
            int(is_there),
        )
        if not is_there:
            return
        parts: tuple[Callable[[], Iterable[Metric]], ...] = (
            lambda: queue_metrics.disk(spool, self._context.settings.disk),
            lambda: queue_metrics.jobs(spool),
            lambda: queue_metrics.rejected(spool),
            lambda: slot_metrics.slots(spool),
        )
        for part in parts:
            try:
                # All of a part or nothing: half of a sum would look like a fall.
                yield from list(part())
            except OSError:
                continue


async def get_metrics(request: Request) -> Response:
    """The metrics in the text format 0.0.4, or as OpenMetrics where that is accepted."""
    context = context_of(request)
    connections: Connections | None = getattr(request.app.state, "connections", None)
    clients = Clients(
        context.follower.listeners,
        context.gallery.listeners,
        None if connections is None else len(connections.connections),
    )
    accepted = request.headers.get("accept", "")
    body, media_type = await run_in_threadpool(_scrape, Metrics(context, clients), accepted)
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


def _scrape(metrics: Metrics, accepted: str) -> tuple[bytes, str]:
    # One for each scrape, and never the library's own, which is global.
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    kinds = {kind.partition(";")[0].strip().lower() for kind in accepted.split(",")}
    if OPENMETRICS in kinds:
        body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return body, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


def _of_clients(clients: Clients) -> Iterator[Metric]:
    streams = GaugeMetricFamily("genzo_http_streams", "Event streams that are open", labels=["of"])
    streams.add_metric(["job"], clients.job_streams)
    streams.add_metric(["gallery"], clients.gallery_streams)
    yield streams
    if clients.connections is not None:
        yield GaugeMetricFamily(
            "genzo_http_connections", "HTTP connections that are open", clients.connections
        )


def _is_there(spool: Spool) -> bool:
    try:
        Spool.open(spool.root)
    except (NotASpool, OSError):
        return False
    return True

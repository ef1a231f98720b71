"""Write the metrics page of a process: counted events, and gauges read at the scrape."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from time import monotonic
from typing import Final

from msgspec import Struct
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.limits import WORKER_TIMEOUT_SECONDS
from app.metrics import REGISTRY, TENANTS
from app.outages import DatabaseUnavailable
from app.prometheus import store
from app.prometheus.store import PendingCallbacks, PipeLags, TenantQueueDepth, Workforce
from app.resources import Resources

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
# The queue's gauges are read from PostgreSQL at most once in this time.
_CACHE_SECONDS: Final = 2.0
_DATABASE_SECONDS: Final = 2.0


class QueueState(Struct, frozen=True, kw_only=True):
    """What is queued, and the workers that take from the queue."""

    depths: list[TenantQueueDepth]
    workforce: Workforce
    callbacks: PendingCallbacks
    pipes: list[PipeLags]


class MetricsPage:
    """The metrics page of one process; the API's includes the queue, which all processes share."""

    def __init__(self, resources: Resources, *, process: str, readers: Sized | None = None) -> None:
        """Take open resources; `readers`, in the API only, are the waiting requests."""
        self._resources = resources
        self._process = process
        self._readers = readers
        self._queue: QueueState | None = None
        self._read_at = -_CACHE_SECONDS
        self._reading = asyncio.Lock()

    async def page(self) -> bytes:
        """Write the page in Prometheus' text format."""
        families = list(self._process_families())
        if self._readers is not None:
            families += _reader_families(self._readers)
            families += _queue_families(await self._read_queue())
        # In a thread: with many tenants it takes tens of ms, which would hold up the event loop.
        counted = await asyncio.to_thread(generate_latest, REGISTRY)
        return counted + generate_latest(_Families(families))

    async def _read_queue(self) -> QueueState | None:
        async with self._reading:
            if monotonic() - self._read_at >= _CACHE_SECONDS:
                try:
                    self._queue = await self._select_queue()
                except (DatabaseUnavailable, TimeoutError):
                    self._queue = None
                self._read_at = monotonic()
            return self._queue

    async def _select_queue(self) -> QueueState:
        async with asyncio.timeout(_DATABASE_SECONDS), self._resources.pool.acquire() as conn:
            return QueueState(
                depths=await store.select_queue_depths(conn),
                workforce=await store.select_workforce(
                    conn, seen_within_seconds=WORKER_TIMEOUT_SECONDS
                ),
                callbacks=await store.select_pending_callbacks(conn),
                pipes=await store.select_pipe_lags(conn),
            )

    def _process_families(self) -> Iterator[Metric]:
        sandbox, pool = self._resources.sandbox, self._resources.pool
        process = GaugeMetricFamily(
            "crivo_process_info",
            "The process and its version of V8",
            labels=("process", "v8_version"),
        )
        process.add_metric((self._process, sandbox.v8_version), 1)
        yield process
        counts = sandbox.cell_counts
        yield _gauges("crivo_cells", "Cells by state", "state", counts.items())
        yield GaugeMetricFamily(
            "crivo_cell_slots", "Cells that can run at once", value=sandbox.slots
        )
        yield GaugeMetricFamily(
            "crivo_runs_waiting", "Runs waiting for a cell or for memory", value=sandbox.waiting
        )
        kills = CounterMetricFamily(
            "crivo_cells_killed",
            "Cells that ended before their next job, by reason",
            labels=("reason",),
        )
        for reason, number in sandbox.kills.items():
            kills.add_metric((reason,), number)
        yield kills
        idle = pool.get_idle_size()
        used = {"used": pool.get_size() - idle, "idle": idle}
        yield _gauges(
            "crivo_database_connections", "Connections of the pool by state", "state", used.items()
        )
        yield GaugeMetricFamily(
            "crivo_database_connections_max", "Maximum size of the pool", value=pool.get_max_size()
        )


class _Families(Collector):
    """Hands given families to `generate_latest`."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _reader_families(readers: Sized) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "crivo_waiting_readers", "Requests waiting for an execution", value=len(readers)
    )


def _queue_families(queue: QueueState | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "crivo_database_up", "Whether PostgreSQL answers", value=float(queue is not None)
    )
    if queue is None:
        return
    queued, oldest_seconds = Counter[str](), dict[str, float]()
    for each in queue.depths:
        label = TENANTS.label(each.tenant)
        queued[label] += each.queued
        oldest_seconds[label] = max(oldest_seconds.get(label, 0.0), each.oldest_seconds)
    yield GaugeMetricFamily("crivo_queue_depth", "Executions queued", value=queued.total())
    yield GaugeMetricFamily(
        "crivo_queue_oldest_seconds",
        "Age of the oldest queued execution",
        value=max(oldest_seconds.values(), default=0.0),
    )
    yield _gauges(
        "crivo_tenant_queue_depth", "Executions queued, by tenant", "tenant", queued.items()
    )
    yield _gauges(
        "crivo_tenant_queue_oldest_seconds",
        "Age of the oldest queued execution, by tenant",
        "tenant",
        oldest_seconds.items(),
    )
    workforce = queue.workforce
    yield GaugeMetricFamily("crivo_workers", "Live workers", value=workforce.workers)
    yield GaugeMetricFamily(
        "crivo_worker_slots",
        "Executions that the live workers can run at once",
        value=workforce.slots,
    )
    callbacks = queue.callbacks
    yield GaugeMetricFamily(
        "crivo_callbacks_pending", "Callbacks that wait for an attempt", value=callbacks.pending
    )
    yield GaugeMetricFamily(
        "crivo_callbacks_overdue_seconds",
        "For how long the oldest callback that is due has waited for its attempt",
        value=callbacks.overdue_seconds,
    )
    yield from _pipe_families(queue.pipes)


def _pipe_families(pipes: Sequence[PipeLags]) -> Iterator[Metric]:
    events, oldest_seconds = Counter[str](), dict[str, float]()
    for each in pipes:
        label = TENANTS.label(each.tenant)
        events[label] += each.events
        oldest_seconds[label] = max(oldest_seconds.get(label, 0.0), each.oldest_seconds)
    yield _gauges(
        "crivo_pipe_lag_events",
        "Events that pipes have not forwarded, at the last look, by tenant",
        "tenant",
        events.items(),
    )
    yield _gauges(
        "crivo_pipe_oldest_seconds",
        "Age of the oldest event that a pipe has not forwarded, by tenant",
        "tenant",
        oldest_seconds.items(),
    )
    yield GaugeMetricFamily(
        "crivo_pipes_troubled",
        "Pipes that stand still, and try again",
        value=sum(each.troubled for each in pipes),
    )


def _gauges(
    name: str, meaning: str, label: str, values: Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=(label,))
    for value, number in values:
        family.add_metric((value,), number)
    return family

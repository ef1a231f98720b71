"""Write what Prometheus reads: what was counted, and what there is at this moment."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sized
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
from app.prometheus.store import QueueLimit, Workforce
from app.resources import Resources

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
# However often somebody asks, PostgreSQL is asked so often.
_KEEP_SECONDS: Final = 2.0
_DATABASE_SECONDS: Final = 2.0


class Queue(Struct, frozen=True, kw_only=True):
    """What is queued, and who works on it; None while PostgreSQL is away."""

    backlogs: list[QueueLimit]
    workforce: Workforce


class MetricsPage:
    """What one process shows; the API also shows the queue, which is everybody's."""

    def __init__(self, resources: Resources, *, process: str, readers: Sized | None = None) -> None:
        """Take what is open, and the waiting readers where there may be any."""
        self._resources = resources
        self._process = process
        self._readers = readers
        self._queue: Queue | None = None
        self._read_at = -_KEEP_SECONDS
        self._reading = asyncio.Lock()

    async def page(self) -> bytes:
        """Write the page, in Prometheus' text format."""
        families = list(self._families())
        if self._readers is not None:
            families += _of_readers(self._readers)
            families += _of_queue(await self._read_queue())
        # With many tenants it takes tens of ms, in which others would wait for the loop.
        counted = await asyncio.to_thread(generate_latest, REGISTRY)
        return counted + generate_latest(_Given(families))

    async def _read_queue(self) -> Queue | None:
        async with self._reading:
            if monotonic() - self._read_at >= _KEEP_SECONDS:
                try:
                    self._queue = await self._ask()
                except (DatabaseUnavailable, TimeoutError):
                    self._queue = None
                self._read_at = monotonic()
            return self._queue

    async def _ask(self) -> Queue:
        async with asyncio.timeout(_DATABASE_SECONDS), self._resources.pool.acquire() as conn:
            return Queue(
                backlogs=await store.select_backlogs(conn),
                workforce=await store.select_workforce(
                    conn, seen_within_seconds=WORKER_TIMEOUT_SECONDS
                ),
            )

    def _families(self) -> Iterator[Metric]:
        sandbox, pool = self._resources.sandbox, self._resources.pool
        process = GaugeMetricFamily(
            "crivo_process_info", "What this process is", labels=("process", "v8_version")
        )
        process.add_metric((self._process, sandbox.v8_version), 1)
        yield process
        counts = sandbox.cell_counts
        yield _gauges("crivo_cells", "Cells by what they are at", "state", counts.items())
        yield GaugeMetricFamily(
            "crivo_cell_slots", "Cells that may run at once", value=sandbox.slots
        )
        yield GaugeMetricFamily(
            "crivo_runs_waiting", "Runs that wait for a cell or for memory", value=sandbox.waiting
        )
        kills = CounterMetricFamily(
            "crivo_cells_killed",
            "Cells that did not live to their next job, by why",
            labels=("reason",),
        )
        for reason, number in sandbox.kills.items():
            kills.add_metric((reason,), number)
        yield kills
        idle = pool.get_idle_size()
        used = {"used": pool.get_size() - idle, "idle": idle}
        yield _gauges(
            "crivo_database_connections", "Connections of the pool", "state", used.items()
        )
        yield GaugeMetricFamily(
            "crivo_database_connections_max", "The pool's size", value=pool.get_max_size()
        )


class _Given(Collector):
    """Families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of_readers(readers: Sized) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "crivo_waiting_readers", "Requests that wait for an execution", value=len(readers)
    )


def _of_queue(queue: Queue | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "crivo_database_up", "Whether PostgreSQL answers", value=float(queue is not None)
    )
    if queue is None:
        return
    depths, ages = Counter[str](), dict[str, float]()
    for each in queue.backlogs:
        label = TENANTS.label(each.tenant)
        depths[label] += each.queued
        ages[label] = max(ages.get(label, 0.0), each.oldest_seconds)
    yield GaugeMetricFamily("crivo_queue_depth", "Executions queued", value=depths.total())
    yield GaugeMetricFamily(
        "crivo_queue_oldest_seconds",
        "For how long the oldest queued execution has waited",
        value=max(ages.values(), default=0.0),
    )
    yield _gauges(
        "crivo_tenant_queue_depth", "Executions queued, by tenant", "tenant", depths.items()
    )
    yield _gauges(
        "crivo_tenant_queue_oldest_seconds",
        "For how long the oldest queued execution has waited, by tenant",
        "tenant",
        ages.items(),
    )
    force = queue.workforce
    yield GaugeMetricFamily("crivo_workers", "Workers that are alive", value=force.workers)
    yield GaugeMetricFamily(
        "crivo_worker_slots", "Executions that they run at once", value=force.slots
    )


def _gauges(
    name: str, meaning: str, label: str, values: Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=(label,))
    for value, number in values:
        family.add_metric((value,), number)
    return family

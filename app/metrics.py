"""Define the metrics that count events, and bound the values of their labels.

Gauges, such as cells or queued executions, are read at each scrape instead (`app/prometheus/`).
"""

from collections.abc import Collection
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

# A series' creation time adds nothing to the start time of its process.
disable_created_metrics()  # type: ignore[no-untyped-call] # a part of the library is untyped

REGISTRY: Final = CollectorRegistry(auto_describe=False)
ProcessCollector(registry=REGISTRY)

# From the fastest execution to the longest that settings allow.
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 300)

# The label that all tenants without a label of their own share. No tenant can have this name.
OTHER: Final = "(other)"


class LabelLimiter:
    """Bounds a label's values: the first `max_values` names are kept, all others become OTHER."""

    def __init__(self, max_values: int) -> None:
        """Keep at most `max_values` names."""
        self.max_values = max_values
        self._known: set[str] = set()

    def label(self, name: str) -> str:
        """Return the label for a name."""
        if name in self._known:
            return name
        if len(self._known) >= self.max_values:
            return OTHER
        self._known.add(name)
        return name


TENANTS: Final = LabelLimiter(50)

LEAD_SECONDS: Final = Histogram(
    "crivo_execution_lead_seconds",
    "From an execution's acceptance to its end",
    ("tenant", "outcome"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
QUEUE_SECONDS: Final = Histogram(
    "crivo_execution_queue_seconds",
    "From an execution's acceptance to the start of its last attempt",
    ("tenant", "outcome"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
RUN_SECONDS: Final = Histogram(
    "crivo_execution_run_seconds",
    "How long user code ran",
    ("tenant", "outcome"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
BATCHES: Final = Counter(
    "crivo_batches",
    "Batches that were accepted, or cancelled before their end",
    ("event",),
    registry=REGISTRY,
)
BATCH_ITEMS: Final = Counter(
    "crivo_batch_items",
    "Items of batches that were accepted, or cancelled with their batch",
    ("event",),
    registry=REGISTRY,
)
LEASES_EXPIRED: Final = Counter(
    "crivo_leases_expired",
    "Claims whose worker stopped renewing them, by the execution's next status",
    ("status",),
    registry=REGISTRY,
)
REPEATED_REQUESTS: Final = Counter(
    "crivo_repeated_requests",
    "Requests whose idempotency key was known, by the answer",
    ("answer",),
    registry=REGISTRY,
)
LATE_REPORTS: Final = Counter(
    "crivo_late_reports_refused",
    "Outcomes reported after the claim had passed to another worker or was cancelled",
    registry=REGISTRY,
)
WAKE_UPS_REQUESTED: Final = Counter(
    "crivo_rings_wanted",
    "Wake-ups of workers that were requested, such as one for each accepted execution",
    registry=REGISTRY,
)
WAKE_UPS: Final = Counter(
    "crivo_rings",
    "Requested wake-ups by result: sent, coalesced with one that was sent, or failed",
    ("result",),
    registry=REGISTRY,
)
DATASET_BYTES: Final = Counter(
    "crivo_dataset_bytes",
    "Bytes of parts that were added to uploads: raw, and stored with their indexes",
    ("kind",),
    registry=REGISTRY,
)
DATASET_PARTS: Final = Counter(
    "crivo_dataset_parts",
    "Received parts by result: stored, repeated with the same bytes, or refused for a line",
    ("result",),
    registry=REGISTRY,
)
SNAPSHOTS_PUBLISHED: Final = Counter(
    "crivo_snapshots_published", "Published snapshots of datasets", registry=REGISTRY
)
REDRIVES: Final = Counter(
    "crivo_redrives",
    "Re-drives, by what they try again, and by event: created, finished, failed, cancelled",
    ("kind", "event"),
    registry=REGISTRY,
)
REDRIVEN: Final = Counter(
    "crivo_redriven",
    "Dead letters and failed records that were tried again, by outcome",
    ("kind", "outcome"),
    registry=REGISTRY,
)
RUNS: Final = Counter(
    "crivo_runs",
    "Runs, by event: accepted, succeeded, failed, cancelled",
    ("event",),
    registry=REGISTRY,
)
RUN_ROWS: Final = Counter(
    "crivo_run_rows",
    "Rows of runs that have ended: read, written, and failed without ending their part",
    ("result",),
    registry=REGISTRY,
)
EXPORTS: Final = Counter(
    "crivo_exports",
    "Exports, by event: accepted, succeeded, failed, cancelled",
    ("event",),
    registry=REGISTRY,
)
EXPORT_TASKS: Final = Counter(
    "crivo_export_tasks",
    "Attempts of tasks of exports, by stage, and by what they have come to",
    ("stage", "outcome"),
    registry=REGISTRY,
)
ENGINE_SLOTS: Final = Gauge(
    "crivo_engine_slots",
    "Parts of runs that the engine can run at once beside this worker's slots",
    registry=REGISTRY,
)
ENGINE_PARTS: Final = Counter(
    "crivo_engine_parts",
    "Parts that the engine was given: finished, refused, or lost and queued again",
    ("result",),
    registry=REGISTRY,
)
RECORDS_READ: Final = Counter(
    "crivo_records_read",
    "Keys that clients asked for, by result: found or missing",
    ("result",),
    registry=REGISTRY,
)
INDEXES_MERGED: Final = Counter(
    "crivo_indexes_merged", "Key indexes that were merged into others", registry=REGISTRY
)
CALLBACK_ATTEMPTS: Final = Counter(
    "crivo_callback_attempts",
    "Attempts to deliver callbacks: delivered, refused by another status than 2xx, gone (410), "
    "no_answer, or not_public: not sent, as the host has an address that is not public",
    ("outcome",),
    registry=REGISTRY,
)
HTTP_REQUESTS: Final = Counter(
    "crivo_http_requests",
    "Requests by method, route and status; no status where the client had left",
    ("method", "route", "status"),
    registry=REGISTRY,
)
HTTP_SECONDS: Final = Histogram(
    "crivo_http_request_seconds",
    "From a request's head to its response's head; `waits`: the client asked to wait for the end",
    ("method", "route", "waits"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 60),
    registry=REGISTRY,
)
COMPARISONS: Final = Counter(
    "crivo_comparisons_finished",
    "Comparisons of two versions by verdict: clean or different",
    ("verdict",),
    registry=REGISTRY,
)

PIPE_EVENTS: Final = Counter(
    "crivo_pipe_events",
    "Events of pipes by result: forwarded, refused (a dead letter), or dropped by a script",
    ("tenant", "result"),
    registry=REGISTRY,
)
DEAD_LETTERS: Final = Counter(
    "crivo_dead_letters",
    "Events of pipes that have become dead letters, by the kind of their error",
    ("kind",),
    registry=REGISTRY,
)
PIPE_BATCH_SECONDS: Final = Histogram(
    "crivo_pipe_batch_seconds",
    "From the arrival of a pipe's batch to the commit of its outcome",
    buckets=_SECONDS,
    registry=REGISTRY,
)

# Series with a value of 0 are shown from the start: a rate needs two values.
for _status in ("queued", "failed"):
    LEASES_EXPIRED.labels(_status)
for _event in ("accepted", "succeeded", "failed", "cancelled"):
    RUNS.labels(_event)
    EXPORTS.labels(_event)
for _result in ("in", "out", "failed"):
    RUN_ROWS.labels(_result)
for _event in ("accepted", "cancelled"):
    BATCHES.labels(_event)
    BATCH_ITEMS.labels(_event)
for _result in ("sent", "coalesced", "failed"):
    WAKE_UPS.labels(_result)
for _kind in ("raw", "stored"):
    DATASET_BYTES.labels(_kind)
for _result in ("stored", "repeated", "refused"):
    DATASET_PARTS.labels(_result)
for _result in ("finished", "refused", "lost"):
    ENGINE_PARTS.labels(_result)
for _result in ("found", "missing"):
    RECORDS_READ.labels(_result)
for _outcome in ("delivered", "refused", "gone", "no_answer", "not_public"):
    CALLBACK_ATTEMPTS.labels(_outcome)
for _answer in ("repeated", "reused", "in_progress"):
    REPEATED_REQUESTS.labels(_answer)
for _verdict in ("clean", "different"):
    COMPARISONS.labels(_verdict)
for _kind in ("input_schema_mismatch", "unknown_schema", "script_error", "sink_refused"):
    DEAD_LETTERS.labels(_kind)


def configure_metrics(*, tenants: int) -> None:
    """Set the number of tenants that have series of their own."""
    TENANTS.max_values = tenants


def count_end(
    *,
    tenant: str,
    outcome: str,
    lead_seconds: float,
    queue_seconds: float | None,
    run_seconds: float | None,
) -> None:
    """Count an execution that has ended; None for the times of one that never began."""
    labels = (TENANTS.label(tenant), outcome)
    LEAD_SECONDS.labels(*labels).observe(lead_seconds)
    if queue_seconds is not None:
        QUEUE_SECONDS.labels(*labels).observe(queue_seconds)
    if run_seconds is not None:
        RUN_SECONDS.labels(*labels).observe(run_seconds)


def count_pipe_events(
    *, tenant: str, forwarded: int, refused: Collection[str], dropped: int
) -> None:
    """Count the events of a pipe's batch; `refused` are the kinds of its dead letters."""
    label = TENANTS.label(tenant)
    counts = {"forwarded": forwarded, "refused": len(refused), "dropped": dropped}
    for result, events in counts.items():
        PIPE_EVENTS.labels(label, result).inc(events)
    for kind in refused:
        DEAD_LETTERS.labels(kind).inc()


def count_run(event: str) -> None:
    """Count a run that was `accepted`, or how it has ended."""
    RUNS.labels(event).inc()


def count_run_rows(*, rows_in: int, rows_out: int, rows_failed: int) -> None:
    """Count the rows of a run that has ended."""
    for result, rows in (("in", rows_in), ("out", rows_out), ("failed", rows_failed)):
        RUN_ROWS.labels(result).inc(rows)


def count_export(event: str) -> None:
    """Count an export that was `accepted`, or how it has ended."""
    EXPORTS.labels(event).inc()


def count_export_task(stage: str, outcome: str) -> None:
    """Count an attempt of a task that was `done`, or why it was not."""
    EXPORT_TASKS.labels(stage, outcome).inc()


def count_batch(event: str, *, items: int) -> None:
    """Count a batch that was `accepted` or `cancelled`, and its items."""
    BATCHES.labels(event).inc()
    BATCH_ITEMS.labels(event).inc(items)

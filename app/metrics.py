"""What is counted for Prometheus: names, meanings, buckets, and the bounds of labels.

Only what happens is counted here, where it happens; what there is at a moment, such as cells
or what is queued, is read when somebody asks (`app/prometheus/`).
"""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

# When a series began says nothing that its process' start does not say.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library has a few such

REGISTRY: Final = CollectorRegistry(auto_describe=False)
ProcessCollector(registry=REGISTRY)

# From the fastest execution to the longest that a setting allows.
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 300)

# Together the label of all tenants that have none of their own: no tenant can have that name.
OTHER: Final = "(other)"


class Names:
    """A label's values: the first so many names keep their own, all others share one."""

    def __init__(self, most: int) -> None:
        """Take how many there are at most, beside the one that others share."""
        self.most = most
        self._known: set[str] = set()

    def label(self, name: str) -> str:
        """Give what stands for a name."""
        if name in self._known:
            return name
        if len(self._known) >= self.most:
            return OTHER
        self._known.add(name)
        return name


TENANTS: Final = Names(50)

LEAD_SECONDS: Final = Histogram(
    "crivo_execution_lead_seconds",
    "From an execution's acceptance to its end",
    ("tenant", "outcome"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
QUEUE_SECONDS: Final = Histogram(
    "crivo_execution_queue_seconds",
    "From an execution's acceptance to the beginning of its last attempt",
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
LEASES_EXPIRED: Final = Counter(
    "crivo_leases_expired",
    "Claims whose worker went silent, by what became of the execution",
    ("status",),
    registry=REGISTRY,
)
LATE_REPORTS: Final = Counter(
    "crivo_late_reports_refused",
    "Outcomes that came when the claim was somebody else's or cancelled",
    registry=REGISTRY,
)
WAKE_UPS_REQUESTED: Final = Counter(
    "crivo_rings_wanted",
    "Rings that somebody asked for, one for each accepted execution",
    registry=REGISTRY,
)
WAKE_UPS: Final = Counter(
    "crivo_rings",
    "Rings by what became of them: sent, coalesced with one that was sent, or failed",
    ("result",),
    registry=REGISTRY,
)
HTTP_REQUESTS: Final = Counter(
    "crivo_http_requests",
    "Requests by method, route and status; without a status: nobody was there for the answer",
    ("method", "route", "status"),
    registry=REGISTRY,
)
HTTP_SECONDS: Final = Histogram(
    "crivo_http_request_seconds",
    "From a request's head to the head of its answer; `waits`: it was asked to wait for an end",
    ("method", "route", "waits"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 60),
    registry=REGISTRY,
)

# What has happened so far, which is nothing, is shown from the start: a rate needs two values.
for _status in ("queued", "failed"):
    LEASES_EXPIRED.labels(_status)
for _result in ("sent", "coalesced", "failed"):
    WAKE_UPS.labels(_result)


def configure_metrics(*, tenants: int) -> None:
    """Bound the labels: so many tenants have series of their own."""
    TENANTS.most = tenants


def count_end(
    *,
    tenant: str,
    outcome: str,
    lead_seconds: float,
    queue_seconds: float | None,
    run_seconds: float | None,
) -> None:
    """Count an execution that has ended; None: it never began."""
    labels = (TENANTS.label(tenant), outcome)
    LEAD_SECONDS.labels(*labels).observe(lead_seconds)
    if queue_seconds is not None:
        QUEUE_SECONDS.labels(*labels).observe(queue_seconds)
    if run_seconds is not None:
        RUN_SECONDS.labels(*labels).observe(run_seconds)

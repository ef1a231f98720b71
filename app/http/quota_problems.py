"""Render quota errors: status, problem type, RateLimit fields and Retry-After.

Field names and syntax are those of draft-ietf-httpapi-ratelimit-headers-11 (May 2026):
`RateLimit-Policy: "queued";q=100` and `RateLimit: "queued";r=0;t=1`, structured fields
(RFC 9651). A quota on what exists at the same time has no window, and so no `w`. The unit is the
request, or `qu="content-bytes"`.
"""

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response
from msgspec import Struct

from app.errors import Problem
from app.http.problems import render_problem
from app.quotas.errors import QuotaError, QuotaExceeded, TooManyInFlight
from app.quotas.model import Quota
from app.quotas.rates import RateState

_ASK: Final = "ask the operator of this service for a higher limit"


class _Policy(Struct, frozen=True, kw_only=True):
    """How a quota is described to clients; `remedy` where waiting does not help."""

    unit: str
    remedy: str = ""
    in_bytes: bool = False
    window_seconds: int | None = None


_POLICIES: Final[Mapping[Quota, _Policy]] = {
    Quota.QUEUED: _Policy(unit="queued executions"),
    Quota.STORED_BYTES: _Policy(
        unit="bytes of stored inputs, results, logs, datasets, waiting events and dead letters",
        remedy="erase those of a finished execution with DELETE /executions/{execution}/data, "
        f"delete a snapshot, an upload or a dataset, erase dead letters, or {_ASK}",
        in_bytes=True,
    ),
    Quota.BYTES_PER_DAY: _Policy(
        unit="bytes of inputs, datasets and events per day (UTC)",
        in_bytes=True,
        window_seconds=86_400,
    ),
    Quota.SCRIPTS: _Policy(
        unit="scripts, including archived ones",
        remedy=f"add a version to an existing script with PUT /scripts/{{name}}, or {_ASK}",
    ),
    Quota.VERSIONS: _Policy(
        unit="versions across all scripts",
        remedy=f"versions are permanent, so {_ASK}",
    ),
    Quota.REQUESTS: _Policy(unit="requests per second", window_seconds=1),
    Quota.PENDING_CALLBACKS: _Policy(unit="callbacks that wait for their delivery"),
    Quota.SCHEMAS: _Policy(
        unit="schemas, including archived ones",
        remedy=f"add a version to an existing schema with PUT /schemas/{{name}}, or {_ASK}",
    ),
    Quota.SCHEMA_VERSIONS: _Policy(
        unit="versions across all schemas", remedy=f"versions are permanent, so {_ASK}"
    ),
    Quota.DATASETS: _Policy(
        unit="datasets", remedy=f"delete one with DELETE /datasets/{{dataset}}, or {_ASK}"
    ),
    Quota.OPEN_UPLOADS: _Policy(
        unit="open uploads",
        remedy="commit one, delete one with DELETE /uploads/{upload}, wait until those expire "
        f"that get no parts, or {_ASK}",
    ),
    Quota.ACTIVE_RUNS: _Policy(unit="runs that have not ended"),
    Quota.ACTIVE_EXPORTS: _Policy(unit="exports that have not ended"),
    Quota.PIPES: _Policy(unit="pipes", remedy=f"delete one with DELETE /pipes/{{pipe}}, or {_ASK}"),
}


class QuotaProblem(Problem):
    """A quota of the tenant is used up."""

    status = 429
    code = "quota-exceeded"
    title = "A quota of the tenant is used up"

    def __init__(self, error: QuotaExceeded) -> None:
        """Describe the quota, its limit and use, and what the client can do."""
        policy = _POLICIES[error.quota]
        wait = error.retry_after_seconds
        remedy = policy.remedy if wait is None else f"try again in {wait} s, or {_ASK}"
        super().__init__(
            f"the tenant's limit is {error.limit} {policy.unit}, of which {error.used} are used; "
            f"{remedy}",
            members={
                "quota": error.quota,
                "limit": error.limit,
                "used": error.used,
                "violated-policies": [error.quota],
            },
            headers={
                **({} if wait is None else {"Retry-After": str(wait)}),
                "RateLimit-Policy": _policy_field(error.quota, error.limit),
                "RateLimit": _limit_field(
                    error.quota, remaining=max(0, error.limit - error.used), reset_seconds=wait
                ),
            },
        )


class TooManyRequests(Problem):
    """The tenant has too many concurrent requests at this API process."""

    status = 429
    code = "too-many-requests"
    title = "Too many requests of this tenant are under way"

    def __init__(self, error: TooManyInFlight) -> None:
        """Name the limit, and when to try again."""
        super().__init__(
            f"{error.limit} requests of this tenant are under way at this API process; "
            "let some of them end first",
            headers={"Retry-After": "1"},
        )


def quota_problem(error: QuotaError) -> Problem:
    """Return the problem that tells a client about a quota error."""
    match error:
        case QuotaExceeded():
            return QuotaProblem(error)
        case TooManyInFlight():
            return TooManyRequests(error)
        case _:
            raise error


def render_quota_error(request: Request[Any, Any, Any], error: QuotaError) -> Response[bytes]:
    """Respond to a request that a quota has refused."""
    return render_problem(request, quota_problem(error))


def rate_headers(state: RateState | None) -> list[tuple[bytes, bytes]]:
    """Return the headers that tell a client what remains of its rate limit."""
    if state is None:
        return []
    limit = _limit_field(Quota.REQUESTS, remaining=state.remaining, reset_seconds=1)
    return [
        (b"ratelimit-policy", _policy_field(Quota.REQUESTS, state.limit).encode()),
        (b"ratelimit", limit.encode()),
    ]


def _policy_field(quota: Quota, limit: int) -> str:
    policy = _POLICIES[quota]
    unit = ';qu="content-bytes"' if policy.in_bytes else ""
    window = f";w={policy.window_seconds}" if policy.window_seconds else ""
    return f'"{quota}";q={limit}{unit}{window}'


def _limit_field(quota: Quota, *, remaining: int, reset_seconds: int | None) -> str:
    reset = "" if reset_seconds is None else f";t={reset_seconds}"
    return f'"{quota}";r={remaining}{reset}'

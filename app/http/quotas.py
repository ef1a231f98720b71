"""What a tenant may take at most, and the answer to one who asks for more.

Field names and syntax are those of draft-ietf-httpapi-ratelimit-headers-11 (May 2026):
`RateLimit-Policy: "queued";q=100` and `RateLimit: "queued";r=0;t=1`, structured fields
(RFC 9651). A quota without a window, of what is there at the same time, has no `w`. The unit is
the request, of which each takes one, or `qu="content-bytes"`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict, replace

from app.errors import Problem
from app.http.access import Caps
from app.settings import Settings

_DAY: Final = timedelta(days=1)


class Policy(Struct, frozen=True, kw_only=True):
    """A quota as clients hear of it: waiting helps where no `way_out` says what does."""

    what: str
    way_out: str = ""
    in_bytes: bool = False
    window_seconds: int | None = None


POLICIES: Final = {
    "queued": Policy(what="executions queued at the same time"),
    "stored-bytes": Policy(
        what="bytes of stored inputs, results and logs",
        way_out="DELETE /executions/{execution}/data erases those of a finished execution",
        in_bytes=True,
    ),
    "bytes-per-day": Policy(
        what="bytes of inputs accepted on one day (UTC)", in_bytes=True, window_seconds=86_400
    ),
    "scripts": Policy(
        what="scripts, archived ones too",
        way_out="PUT /scripts/{name} adds a version to one that is there",
    ),
    "versions": Policy(
        what="versions of all its scripts",
        way_out="versions are permanent, so waiting frees none",
    ),
    "requests": Policy(what="requests a second", window_seconds=1),
}


class QuotaExceeded(Problem):
    """The tenant has used up what it may take of something."""

    status = 429
    code = "quota-exceeded"
    title = "A quota of the tenant is used up"

    def __init__(
        self, quota: str, *, limit: int, used: int, retry_after_seconds: int | None = None
    ) -> None:
        """Name the quota (a key of POLICIES), what it allows and what of it is used."""
        policy = POLICIES[quota]
        wait = None if policy.way_out else retry_after_seconds or _WAITS[quota]()
        way_out = policy.way_out or f"try again in {wait} s"
        super().__init__(
            f"the tenant may have {limit} {policy.what}, and has {used}; {way_out}, or ask "
            "whoever runs this service for more",
            members={
                "quota": quota,
                "limit": limit,
                "used": used,
                "violated-policies": [quota],
            },
            headers={
                **({} if wait is None else {"Retry-After": str(wait)}),
                "RateLimit-Policy": policy_field(quota, limit),
                "RateLimit": limit_field(quota, left=max(0, limit - used), seconds=wait),
            },
        )


def policy_field(quota: str, limit: int) -> str:
    """Write a quota as an item of RateLimit-Policy."""
    policy = POLICIES[quota]
    unit = ';qu="content-bytes"' if policy.in_bytes else ""
    window = f";w={policy.window_seconds}" if policy.window_seconds else ""
    return f'"{quota}";q={limit}{unit}{window}'


def limit_field(quota: str, *, left: int, seconds: int | None) -> str:
    """Write what is left of a quota, and until when where that is known, for RateLimit."""
    until = "" if seconds is None else f";t={seconds}"
    return f'"{quota}";r={left}{until}'


def caps_in_force(settings: Settings, caps: Caps) -> Caps:
    """Put the installation's defaults where a tenant has no cap of its own; None is no cap."""
    defaults = {name: getattr(settings, f"default_{name}") or None for name in asdict(caps)}
    own = {name: cap for name, cap in asdict(caps).items() if cap is not None}
    return replace(caps, **{**defaults, **own})


def _until_tomorrow() -> int:
    now = datetime.now(UTC)
    tomorrow = (now + _DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((tomorrow - now).total_seconds()) + 1


_WAITS: Final[Mapping[str, Callable[[], int]]] = {
    "queued": lambda: 1,
    "requests": lambda: 1,
    "bytes-per-day": _until_tomorrow,
}

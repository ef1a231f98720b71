"""Report exceeded quotas, without any notion of HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from app.errors import CrivoError
from app.quotas.model import Quota

# Receivers that fail are asked again after minutes and hours.
_CALLBACKS_SECONDS: Final = 60
# Runs and exports take seconds to hours.
_RUNS_SECONDS: Final = 10


class QuotaError(CrivoError):
    """A tenant has reached one of its limits."""


class QuotaExceeded(QuotaError):
    """A quota has no room for the request.

    `retry_after_seconds` is when waiting may help; None where it does not.
    """

    def __init__(
        self, quota: str, *, limit: int, used: int, retry_after_seconds: int | None = None
    ) -> None:
        """Take the quota's name, its limit and its use; the quota knows when to retry."""
        self.quota = Quota(quota)
        name = self.quota.value
        super().__init__(f"the quota {name!r} is exceeded: {used} of {limit} are used")
        self.limit = limit
        self.used = used
        self.retry_after_seconds = retry_after_seconds or _retry_after_seconds(self.quota)


class TooManyInFlight(QuotaError):
    """The tenant has the highest number of concurrent requests at this API process."""

    def __init__(self, limit: int) -> None:
        """Take the highest number of concurrent requests."""
        super().__init__(f"{limit} requests of the tenant are in flight")
        self.limit = limit


def _retry_after_seconds(quota: Quota) -> int | None:
    match quota:
        case Quota.QUEUED | Quota.REQUESTS:
            return 1
        case Quota.PENDING_CALLBACKS:
            return _CALLBACKS_SECONDS
        case Quota.ACTIVE_RUNS | Quota.ACTIVE_EXPORTS:
            return _RUNS_SECONDS
        case Quota.BYTES_PER_DAY:
            return _seconds_until_midnight()
        case Quota.STORED_BYTES | Quota.SCRIPTS | Quota.VERSIONS | Quota.PIPES:
            return None
        case Quota.SCHEMAS | Quota.SCHEMA_VERSIONS | Quota.DATASETS | Quota.OPEN_UPLOADS:
            return None
        case _:
            assert_never(quota)


def _seconds_until_midnight() -> int:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight - now).total_seconds()) + 1

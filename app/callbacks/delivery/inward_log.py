"""Log callbacks to addresses that are not public, a line a minute for each tenant."""

from time import monotonic
from typing import Final
from uuid import UUID

import structlog

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 60.0
_MAX_TENANTS: Final = 1_000


class InwardLog:
    """Counts the attempts of each tenant between its lines."""

    def __init__(self) -> None:
        """Begin without attempts."""
        self._logged_at: dict[UUID, float] = {}
        self._attempts: dict[UUID, int] = {}

    def log(self, tenant: UUID, host: str, reason: str) -> None:
        """Count an attempt, and log it unless the tenant had a line within the last minute."""
        self._attempts[tenant] = self._attempts.get(tenant, 0) + 1
        now = monotonic()
        if now - self._logged_at.get(tenant, float("-inf")) < _INTERVAL_SECONDS:
            return
        attempts = self._attempts.pop(tenant)
        if len(self._logged_at) >= _MAX_TENANTS:
            self._logged_at.clear()
            self._attempts.clear()
        self._logged_at[tenant] = now
        log.warning(
            "callback.inward", tenant=str(tenant), host=host, reason=reason, attempts=attempts
        )

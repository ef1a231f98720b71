"""Limit the concurrent requests of each tenant at one API process.

A request occupies a connection, and memory for its body, from its head to the end of its
response. The limit keeps connections free for other tenants while one has slow uploads, waiting
readers or long downloads.
"""

from collections import Counter
from uuid import UUID

from app.quotas.errors import TooManyInFlight


class InFlightLimiter:
    """The number of requests in flight, by tenant."""

    def __init__(self, *, max_per_tenant: int) -> None:
        """Take the highest number of concurrent requests of a tenant."""
        self._max_per_tenant = max_per_tenant
        self._in_flight: Counter[UUID] = Counter()

    def begin(self, tenant: UUID) -> None:
        """Count a request. Raises TooManyInFlight."""
        if self._in_flight[tenant] >= self._max_per_tenant:
            raise TooManyInFlight(self._max_per_tenant)
        self._in_flight[tenant] += 1

    def end(self, tenant: UUID) -> None:
        """Stop counting a request that `begin` has counted."""
        self._in_flight[tenant] -= 1
        if not self._in_flight[tenant]:
            del self._in_flight[tenant]

"""How many requests of one tenant an API process has in hand at once.

A request holds a connection, and memory for what has come of its body, from its head to the end
of its answer. A tenant has a share of them, so that its slow bodies, waiting readers and long
downloads leave connections to others.
"""

from collections import Counter
from uuid import UUID

from app.errors import Problem


class TooManyRequests(Problem):
    """As many requests of the tenant are in hand at this API process as may be."""

    status = 429
    code = "too-many-requests"
    title = "Too many requests of this tenant are under way"

    def __init__(self, limit: int) -> None:
        """Say how many there may be, and when to come again."""
        super().__init__(
            f"{limit} requests of this tenant are under way at this API process; "
            "let some of them end first",
            headers={"Retry-After": "1"},
        )


class InFlight:
    """The requests that one API process has in hand, by tenant."""

    def __init__(self, *, most_of_tenant: int) -> None:
        """Take the bound."""
        self._most_of_tenant = most_of_tenant
        self._of_tenant: Counter[UUID] = Counter()

    def begin(self, tenant: UUID) -> None:
        """Count a request. Raises TooManyRequests."""
        if self._of_tenant[tenant] >= self._most_of_tenant:
            raise TooManyRequests(self._most_of_tenant)
        self._of_tenant[tenant] += 1

    def end(self, tenant: UUID) -> None:
        """Count it no more."""
        self._of_tenant[tenant] -= 1
        if not self._of_tenant[tenant]:
            del self._of_tenant[tenant]

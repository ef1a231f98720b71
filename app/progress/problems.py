"""Errors of requests that wait."""

from app.errors import Problem


class TooManyWaiting(Problem):
    """The tenant has reached its limit of waiting requests."""

    status = 429
    code = "too-many-waiting"
    title = "Too many requests of this tenant are waiting"

    def __init__(self, detail: str) -> None:
        """Ask for a retry after a second; a request that does not wait succeeds at once."""
        super().__init__(detail, headers={"Retry-After": "1"})


class NoRoomToWait(Problem):
    """This API process has reached its limit of waiting requests."""

    status = 503
    code = "no-room-to-wait"
    title = "Too many requests are waiting"

    def __init__(self, detail: str) -> None:
        """Ask for a retry after a second; a request that does not wait succeeds at once."""
        super().__init__(detail, headers={"Retry-After": "1"})

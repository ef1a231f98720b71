"""What can be wrong with asking for executions, by name."""

from uuid import UUID

from app.errors import Problem
from app.scripts.refs import is_uuid


class ExecutionNotFound(Problem):
    """No execution of this tenant has that id."""

    status = 404
    code = "execution-not-found"
    title = "There is no such execution"


class NotFinished(Problem):
    """The execution has not finished yet."""

    status = 409
    code = "not-finished"
    title = "The execution has not finished yet"


class AlreadyFinished(Problem):
    """The execution has finished: there is nothing left to cancel."""

    status = 409
    code = "already-finished"
    title = "The execution has finished already"


class PayloadGone(Problem):
    """Input, result and logs have expired or were erased; the receipt tells of them."""

    status = 410
    code = "payload-gone"
    title = "The execution's data has been erased"


class NoResult(Problem):
    """The execution finished without a result."""

    status = 404
    code = "no-result"
    title = "The execution has no result"


class TooManyWaiting(Problem):
    """As many requests of the tenant wait already as may."""

    status = 429
    code = "too-many-waiting"
    title = "Too many requests of this tenant wait already"

    def __init__(self, detail: str) -> None:
        """Say when to come again; without waiting there is an answer at once."""
        super().__init__(detail, headers={"Retry-After": "1"})


class QueueFull(Problem):
    """As much is queued, of all tenants, as may be."""

    status = 503
    code = "queue-full"
    title = "Too much is queued at the moment"

    def __init__(self, detail: str) -> None:
        """Say when to come again."""
        super().__init__(detail, headers={"Retry-After": "5"})


class NoRoomToWait(Problem):
    """As many requests wait at this API process as it takes."""

    status = 503
    code = "no-room-to-wait"
    title = "Too many requests wait at the moment"

    def __init__(self, detail: str) -> None:
        """Say when to come again; without waiting there is an answer at once."""
        super().__init__(detail, headers={"Retry-After": "1"})


def parse_execution(text: str) -> UUID:
    """Read an execution's id. Raises ExecutionNotFound for what cannot be one."""
    if not is_uuid(text):
        raise ExecutionNotFound(f"{text!r} is not an execution's id; GET /executions lists them")
    return UUID(text)

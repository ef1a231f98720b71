"""Define the problems of requests for executions."""

from datetime import datetime
from uuid import UUID

from app.errors import Problem


class ExecutionNotFound(Problem):
    """The tenant has no execution with this id."""

    status = 404
    code = "execution-not-found"
    title = "There is no such execution"


class NotFinished(Problem):
    """The execution has not finished yet."""

    status = 409
    code = "not-finished"
    title = "The execution has not finished yet"


class AlreadyFinished(Problem):
    """The execution has finished and cannot be cancelled."""

    status = 409
    code = "already-finished"
    title = "The execution has already finished"


class PayloadGone(Problem):
    """Input, result and logs have expired or were erased; the receipt remains."""

    status = 410
    code = "payload-gone"
    title = "The execution's data has been erased"


def payload_gone(erased_at: datetime) -> PayloadGone:
    """Return the error for data that was erased at a time."""
    at = erased_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return PayloadGone(
        f"input, result and logs of the execution were erased at {at}; its receipt is kept",
        members={"erased_at": erased_at},
    )


def not_found(execution_id: UUID) -> ExecutionNotFound:
    """Return the error for an id that names no execution of the tenant."""
    return ExecutionNotFound(f"no execution {execution_id}; GET /executions lists them")


def not_finished(execution_id: UUID, status: str) -> NotFinished:
    """Return the error for an execution that is queued or running."""
    return NotFinished(
        f"the execution is {status}; GET /executions/{execution_id}?wait=30 waits for it",
        headers={"Retry-After": "1"},
    )


class PartOfRun(Problem):
    """The execution is a part of a run, and of use only with the others."""

    status = 409
    code = "part-of-run"
    title = "The execution is a part of a run"


def part_of_run(run_id: UUID) -> PartOfRun:
    """Return the error for an operation that the run has, and none of its parts."""
    return PartOfRun(
        f"the execution is a part of the run {run_id}; POST /runs/{run_id}/replay repeats the run",
        members={"run": str(run_id)},
    )


class NoResult(Problem):
    """The execution finished without a result."""

    status = 404
    code = "no-result"
    title = "The execution has no result"


class QueueFull(Problem):
    """The queue of all tenants has reached its limit."""

    status = 503
    code = "queue-full"
    title = "The queue is full"

    def __init__(self, detail: str) -> None:
        """Ask for a retry after five seconds."""
        super().__init__(detail, headers={"Retry-After": "5"})

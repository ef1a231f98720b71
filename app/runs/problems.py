"""Define the problems of requests for runs."""

from uuid import UUID

from app.errors import Problem
from app.runs.model import RunStatus


class RunNotFound(Problem):
    """The tenant has no run with this id."""

    status = 404
    code = "run-not-found"
    title = "There is no such run"


class RunNotFinished(Problem):
    """The run has not finished yet."""

    status = 409
    code = "run-not-finished"
    title = "The run has not finished yet"


class RunFinished(Problem):
    """The run has finished and cannot be cancelled."""

    status = 409
    code = "run-finished"
    title = "The run has already finished"


class NoRunResult(Problem):
    """The run has finished without a result, or has no fold to make one."""

    status = 404
    code = "no-run-result"
    title = "The run has no result"


class RunDataGone(Problem):
    """The run's result, or what it has read or written, is deleted."""

    status = 410
    code = "run-data-gone"
    title = "The run's data is gone"


def run_not_found(run_id: UUID) -> RunNotFound:
    """Return the error for an id that names no run of the tenant."""
    return RunNotFound(f"no run {run_id}; GET /runs lists them")


def run_not_finished(run_id: UUID, status: RunStatus) -> RunNotFinished:
    """Return the error for a run that is queued or running."""
    return RunNotFinished(
        f"the run is {status}; GET /runs/{run_id}?wait=30 waits for it",
        headers={"Retry-After": "1"},
    )

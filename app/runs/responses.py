"""Say how clients that wait for runs, or follow their progress, read them."""

from functools import partial
from typing import Final
from uuid import UUID

from app.progress.responses import Events, Progress
from app.resources import Resources
from app.runs import service
from app.runs.model import QueuedRun, Run, RunState, RunStatus

# Whether a status comes before another with as many parts done.
_ORDER: Final = {RunStatus.QUEUED: 0, RunStatus.RUNNING: 1}

# By the parts that are done, then by the status.
EVENTS: Final = Events[Run](
    number=lambda run: 3 * run.progress.parts_done + _ORDER.get(run.status, 2),
    state=lambda run: RunState(id=run.id, status=run.status, parts_done=run.progress.parts_done),
    told=lambda run: run,
)


def progress_of(
    resources: Resources, tenant: UUID, run_id: UUID, *, is_single: bool = True
) -> Progress[Run]:
    """Return how a run is read, as `service.show` does."""
    return Progress(
        run_id,
        read=partial(service.show, resources, tenant, run_id, is_single=is_single),
        is_final=lambda run: run.status.final,
    )


def queued_as(run: Run) -> QueuedRun:
    """Return what is said of an accepted run."""
    return QueuedRun(id=run.id, status=run.status, url=f"/runs/{run.id}")

"""Respond with runs, also to clients that wait for their end or follow their progress."""

from functools import partial
from typing import Final
from uuid import UUID

from litestar import Response
from litestar.types import ASGIApp
from msgspec.structs import replace

from app.executions import progress_responses
from app.executions.progress_responses import Events, Progress
from app.executions.responses import seconds_to_wait
from app.executions.service import RETRY_AFTER
from app.executions.waiting.waiters import WaiterRegistry
from app.http.authorization import caller_of
from app.http.bodies import AnyRequest
from app.http.idempotency import replayed
from app.resources import Resources
from app.runs import service
from app.runs.model import QueuedRun, Run, RunState, RunStatus

# Whether a status comes before another with as many parts done.
_ORDER: Final = {RunStatus.QUEUED: 0, RunStatus.RUNNING: 1}

# By the parts that are done, then by the status.
_EVENTS = Events[Run](
    number=lambda run: 3 * run.progress.parts_done + _ORDER.get(run.status, 2),
    state=lambda run: RunState(id=run.id, status=run.status, parts_done=run.progress.parts_done),
    told=lambda run: run,
)


async def respond_to_submission(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    queued: QueuedRun,
    *,
    is_replay: bool = False,
) -> Response[QueuedRun | Run]:
    """Respond with an accepted run, or with that of an earlier request with the same key.

    The response is a 200 with a run that ends while the client prefers to wait, else a 202.
    """
    caller = caller_of(request)
    seconds = seconds_to_wait(request, caller)
    headers = {"Location": queued.url, **replayed(is_replay=is_replay)}
    progress = _progress(resources, caller.tenant, queued.id)
    with waiters.waiter(caller.tenant, final_only=True) as waiter:
        if seconds:
            waiter.register_if_possible(queued.id)
        if waiter.registered or seconds == 0:
            headers["Preference-Applied"] = f"wait={seconds}"
        if waiter.registered:
            run = await progress.read()
            if not run.status.final:
                run = await progress_responses.await_end(
                    request, waiter, progress, seconds=seconds or 0
                )
            if run.status.final:
                return Response(run, status_code=200, headers=headers)
            queued = replace(queued, status=run.status)
    return Response(queued, status_code=202, headers={**headers, **RETRY_AFTER})


async def respond_with_run(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    run_id: UUID,
    *,
    wait: float | None,
) -> Response[Run]:
    """Respond with a run, after waiting for its end where the client wants that.

    Raises RunNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    progress = _progress(resources, tenant, run_id)
    return await progress_responses.respond_with_resource(
        request, waiters, tenant, progress, wait=wait
    )


async def respond_with_events(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    run_id: UUID,
) -> ASGIApp:
    """Stream the events of a run. Raises RunNotFound, TooManyWaiting, NoRoomToWait."""
    progress = _progress(resources, tenant, run_id, is_single=False)
    return await progress_responses.respond_with_events(request, waiters, tenant, progress, _EVENTS)


def _progress(
    resources: Resources, tenant: UUID, run_id: UUID, *, is_single: bool = True
) -> Progress[Run]:
    return Progress(
        run_id,
        read=partial(service.show, resources, tenant, run_id, is_single=is_single),
        is_final=lambda run: run.status.final,
    )

"""Respond with exports, also to clients that wait for their end or follow their progress."""

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
from app.exports import service
from app.exports.model import Export, ExportState, ExportStatus, QueuedExport
from app.http.authorization import caller_of
from app.http.bodies import AnyRequest
from app.http.idempotency import replayed
from app.resources import Resources

# Whether a status comes before another with as many tasks done.
_ORDER: Final = {ExportStatus.QUEUED: 0, ExportStatus.RUNNING: 1}

# By the tasks that are done, then by the status and whether there is trouble.
_EVENTS = Events[Export](
    number=lambda export: (
        6 * export.progress.tasks_done
        + 2 * _ORDER.get(export.status, 2)
        + (export.trouble is not None)
    ),
    state=lambda export: ExportState(
        id=export.id, status=export.status, tasks_done=export.progress.tasks_done
    ),
    told=lambda export: export,
)


async def respond_to_submission(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    queued: QueuedExport,
    *,
    is_replay: bool = False,
) -> Response[QueuedExport | Export]:
    """Respond with an accepted export, or with that of an earlier request with the same key.

    The response is a 200 with an export that ends while the client prefers to wait, else a 202.
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
            export = await progress.read()
            if not export.status.final:
                export = await progress_responses.await_end(
                    request, waiter, progress, seconds=seconds or 0
                )
            if export.status.final:
                return Response(export, status_code=200, headers=headers)
            queued = replace(queued, status=export.status)
    return Response(queued, status_code=202, headers={**headers, **RETRY_AFTER})


async def respond_with_export(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    export_id: UUID,
    *,
    wait: float | None,
) -> Response[Export]:
    """Respond with an export, after waiting for its end where the client wants that.

    Raises ExportNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    progress = _progress(resources, tenant, export_id)
    return await progress_responses.respond_with_resource(
        request, waiters, tenant, progress, wait=wait
    )


async def respond_with_events(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    export_id: UUID,
) -> ASGIApp:
    """Stream the events of an export. Raises ExportNotFound, TooManyWaiting, NoRoomToWait."""
    progress = _progress(resources, tenant, export_id, is_single=False)
    return await progress_responses.respond_with_events(request, waiters, tenant, progress, _EVENTS)


def _progress(
    resources: Resources, tenant: UUID, export_id: UUID, *, is_single: bool = True
) -> Progress[Export]:
    return Progress(
        export_id,
        read=partial(service.show, resources, tenant, export_id, is_single=is_single),
        is_final=lambda export: export.status.final,
    )

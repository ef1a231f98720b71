"""Respond with re-drives, also to clients that wait for their end."""

from functools import partial
from uuid import UUID

from litestar import Response

from app.executions.progress_responses import Progress, respond_with_resource
from app.executions.waiting.waiters import WaiterRegistry
from app.http.bodies import AnyRequest
from app.redrives import service
from app.redrives.model import Redrive
from app.resources import Resources


async def respond_with_redrive(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    redrive_id: UUID,
    *,
    wait: float | None,
) -> Response[Redrive]:
    """Respond with a re-drive, after waiting for its end where the client wants that.

    Raises RedriveNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    progress = Progress(
        redrive_id,
        read=partial(service.show, resources, tenant, redrive_id),
        is_final=lambda redrive: redrive.status.final,
    )
    return await respond_with_resource(request, waiters, tenant, progress, wait=wait)

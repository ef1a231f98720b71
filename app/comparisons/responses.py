"""Respond with comparisons, to clients that wait for their end among others."""

from functools import partial
from uuid import UUID

from litestar import Response

from app.comparisons import service
from app.comparisons.model import Comparison, ComparisonState
from app.executions.progress_responses import Progress, respond_with_resource
from app.executions.service import RETRY_AFTER
from app.executions.waiting.waiters import WaiterRegistry
from app.http.bodies import AnyRequest
from app.http.idempotency import replayed
from app.resources import Resources


def respond_to_creation(comparison: Comparison, *, is_replay: bool = False) -> Response[Comparison]:
    """Respond with a new comparison, or with that of an earlier request with the same key."""
    location = {"Location": f"/comparisons/{comparison.id}"}
    headers = {**location, **RETRY_AFTER, **replayed(is_replay=is_replay)}
    return Response(comparison, status_code=202, headers=headers)


async def respond_with_comparison(
    request: AnyRequest,
    resources: Resources,
    waiters: WaiterRegistry,
    tenant: UUID,
    comparison_id: UUID,
    *,
    wait: float | None,
) -> Response[Comparison]:
    """Respond with a comparison, after waiting for its end where the client wants that.

    Raises ComparisonNotFound; with `wait` also TooManyWaiting and NoRoomToWait.
    """
    progress = Progress(
        comparison_id,
        read=partial(service.show, resources, tenant, comparison_id),
        is_final=lambda comparison: comparison.state is ComparisonState.FINISHED,
    )
    return await respond_with_resource(request, waiters, tenant, progress, wait=wait)

"""HTTP routes of runs."""

from uuid import UUID

from litestar import MediaType, Response, Router, post
from litestar.response import Stream
from litestar.types import ASGIApp

from app.auth.callers import Caller
from app.auth.event_tokens import EventsToken
from app.auth.model import Scope
from app.datasets.catalog import Catalogs
from app.executions.labels import labels_in_query
from app.executions.queue_limit import QueueLimit
from app.http.authorization import needs, takes_token
from app.http.bodies import AnyRequest, parse_datetime, read_json, read_query
from app.http.idempotency import idempotency_key_of
from app.http.methods import get
from app.http.sse import MEDIA_TYPE as EVENT_STREAM
from app.idempotency.model import Repeated
from app.limits import MAX_RUN_BODY_BYTES
from app.pagination import Page
from app.payloads.responses import respond_with_payload
from app.progress.reference import EventsQuery
from app.progress.responses import (
    respond_to_repetition,
    respond_to_submission,
    respond_with_events,
    respond_with_events_token,
    respond_with_resource,
)
from app.progress.waiters import WaiterRegistry
from app.resources import Resources
from app.runs import failed_records, reference, replays, responses, service, submissions
from app.runs.model import CreateRun, FailedRecord, QueuedRun, Run, RunFilter
from app.runs.refs import parse_run_id


@post(
    "/runs",
    status_code=202,
    operation_class=reference.CREATE_RUN,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def create_run(
    request: AnyRequest, resources: Resources, waiters: WaiterRegistry, caller: Caller
) -> Response[QueuedRun | Run]:
    """Run a script over a dataset.

    In parts that run side by side: through `map`, or with `"each": "record"` through `process`,
    into the dataset of `output`, and through the fold of the script to a result. The snapshot is
    the one that the reference names now, and the dataset of `output` is created if there is none.
    An `output` also takes the scope `datasets:write`. The response comes as soon as the run is
    committed; poll it, or follow its events. With `Prefer: wait=30` it comes when the run has
    finished, and holds it, or after that many seconds.
    """
    key = idempotency_key_of(request)
    queue_limit: QueueLimit = request.app.state.queue_limit
    await queue_limit.require_room_or_known(resources.pool, caller.tenant, key)
    wanted = await read_json(request, CreateRun, max_bytes=MAX_RUN_BODY_BYTES)
    try:
        queued = await submissions.create(resources, caller, wanted, key=key)
    except Repeated as earlier:
        progress = responses.progress_of(resources, caller.tenant, UUID(earlier.resource))
        return await respond_to_repetition(
            request, waiters, progress, queued_as=responses.queued_as
        )
    progress = responses.progress_of(resources, caller.tenant, queued.id)
    return await respond_to_submission(
        request, waiters, progress, queued, queued_as=responses.queued_as
    )


@get("/runs", operation_class=reference.LIST_RUNS, **needs(Scope.READ))
async def list_runs(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Run]:
    """List runs.

    Newest first, a page at a time, without results and receipts. A run is listed if it matches
    every filter. A `dataset` that is deleted is a 404 once no run of it matches. Times are
    RFC 3339 with an offset, such as `2026-01-31T12:00:00Z`.
    """
    choices = read_query(request, reference.RunListQuery, many=("label",))
    return await service.list_runs(
        resources,
        tenant,
        RunFilter(
            status=choices.status or None,
            labels=labels_in_query(choices.label or []),
            created_from=parse_datetime("created_from", choices.created_from),
            created_before=parse_datetime("created_before", choices.created_before),
        ),
        script=choices.script or None,
        dataset=choices.dataset or None,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/runs/{run:str}", operation_class=reference.SHOW_RUN, **needs(Scope.READ))
async def show_run(
    run: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, tenant: UUID
) -> Response[Run]:
    """Show a run.

    Its progress, with an estimate of the time that is left, and at its end its receipt, and the
    result, the published snapshot or the error. Poll until `finished_at` is set, preferably with
    `?wait=30`: the response then comes when the run has finished, or after that many seconds.
    """
    choices = read_query(request, reference.RunQuery)
    progress = responses.progress_of(resources, tenant, parse_run_id(run))
    return await respond_with_resource(request, waiters, tenant, progress, wait=choices.wait)


@get(
    "/runs/{run:str}/result",
    media_type=MediaType.JSON,
    operation_class=reference.SHOW_RUN_RESULT,
    **needs(Scope.READ),
)
async def show_run_result(
    run: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[bytes] | Stream:
    """Download the result of a run.

    The exact bytes that `JSON.stringify` produced from what `finish` returned, in any size. With
    `Range`, one range of them. A run without a fold has no result.
    """
    stored = await service.find_result(resources, tenant, parse_run_id(run))
    return await respond_with_payload(request, resources.blobs, stored)


@get(
    "/runs/{run:str}/errors",
    operation_class=reference.LIST_RUN_ERRORS,
    **needs(Scope.READ),
)
async def list_run_errors(
    run: str, request: AnyRequest, resources: Resources, catalogs: Catalogs, tenant: UUID
) -> Page[FailedRecord]:
    """List the failed records of a run.

    Those that the run went on without, in the order of the input, a page at a time: file, line and
    error of each. `excerpt=true` adds the beginning of the line, read from the snapshot. The
    records of a part are listed once it has succeeded.
    """
    choices = read_query(request, reference.RunErrorsQuery)
    run_id, cursor, limit = parse_run_id(run), choices.cursor or None, choices.limit
    if not choices.excerpt:
        return await failed_records.list_failed_records(
            resources, tenant, run_id, cursor=cursor, limit=limit
        )
    return await failed_records.list_with_excerpts(
        resources,
        catalogs.cache,
        request.app.state.record_turns,
        tenant,
        run_id,
        cursor=cursor,
        limit=limit,
    )


@post(
    "/runs/{run:str}/cancel",
    status_code=200,
    operation_class=reference.CANCEL_RUN,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def cancel_run(run: str, resources: Resources, caller: Caller) -> Run:
    """Cancel a run.

    Once the response is sent, the run and its parts are cancelled, any later report of a worker is
    refused, and nothing is published. Cancelling it again changes nothing; a finished run is a
    409.
    """
    return await service.cancel(resources, caller, parse_run_id(run))


@post(
    "/runs/{run:str}/replay",
    status_code=202,
    operation_class=reference.REPLAY_RUN,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def replay_run(
    run: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, caller: Caller
) -> Response[QueuedRun | Run]:
    """Replay a run.

    Runs a finished run again as a new one: the same version, snapshot, params, limits, seed and
    clock. What it writes is hashed and not published. The new run has `replay_of`, and at its end
    `replay`, which says whether the outcome is identical, with the hashes of both. The snapshot
    must not have been deleted.
    """
    key = idempotency_key_of(request)
    queue_limit: QueueLimit = request.app.state.queue_limit
    await queue_limit.require_room_or_known(resources.pool, caller.tenant, key)
    try:
        queued = await replays.replay(resources, caller, parse_run_id(run), key=key)
    except Repeated as earlier:
        progress = responses.progress_of(resources, caller.tenant, UUID(earlier.resource))
        return await respond_to_repetition(
            request, waiters, progress, queued_as=responses.queued_as
        )
    progress = responses.progress_of(resources, caller.tenant, queued.id)
    return await respond_to_submission(
        request, waiters, progress, queued, queued_as=responses.queued_as
    )


@get(
    "/runs/{run:str}/events",
    media_type=EVENT_STREAM,
    operation_class=reference.SHOW_RUN_EVENTS,
    **takes_token(needs(Scope.READ)),
)
async def show_run_events(
    run: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, tenant: UUID
) -> ASGIApp:
    """Follow a run.

    Server-sent events: a `status` event with the run as it is, others while parts end, and one for
    the end, after which the stream ends. A client that reconnects with `Last-Event-ID` gets the
    events after that one; after the final event the response is 204. `EventSource` cannot send a
    key: pass a `token` in the address instead.
    """
    read_query(request, EventsQuery)
    progress = responses.progress_of(resources, tenant, parse_run_id(run), is_single=False)
    return await respond_with_events(request, waiters, tenant, progress, responses.EVENTS)


@post(
    "/runs/{run:str}/events-token",
    status_code=201,
    operation_class=reference.CREATE_RUN_EVENTS_TOKEN,
    **needs(Scope.READ),
)
async def create_run_events_token(
    run: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[EventsToken]:
    """Create a token for the events of a run.

    For `EventSource` in a browser: `…/events?token=` opens the events of this run, and nothing
    else, for 60 s, as `POST /executions/{execution}/events-token` does for an execution.
    """
    run_id = parse_run_id(run)
    await service.show(resources, caller.tenant, run_id, is_single=False)
    return await respond_with_events_token(request, caller, run_id)


router = Router(
    path="/",
    tags=["runs"],
    route_handlers=[
        create_run,
        list_runs,
        show_run,
        show_run_result,
        list_run_errors,
        cancel_run,
        replay_run,
        show_run_events,
        create_run_events_token,
    ],
)

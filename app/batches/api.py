"""HTTP routes of batches."""

from uuid import UUID

from litestar import Response, Router, post
from litestar.response import Stream
from litestar.types import ASGIApp
from msgspec import UNSET

from app.auth.callers import Caller
from app.auth.event_tokens import EventsToken
from app.auth.model import Scope
from app.batches import reference, responses, service, submissions
from app.batches.framing import ArrayFramer, Framer, LineFramer
from app.batches.model import DEFAULT_PRIORITY, Batch, QueuedBatch
from app.batches.refs import parse_batch_id
from app.batches.results import write_results
from app.executions.query_options import submission_in_query
from app.executions.queue_limit import QueueLimit
from app.http.authorization import needs, takes_token
from app.http.bodies import (
    AnyRequest,
    UnsupportedMediaType,
    announced_bytes,
    described_type,
    media_type_of,
    read_query,
    stream_body,
)
from app.http.idempotency import idempotency_key_of
from app.http.methods import get, is_head
from app.http.sse import MEDIA_TYPE as EVENT_STREAM
from app.idempotency.model import Repeated
from app.pagination import Page
from app.payloads.downloads import begin_download
from app.progress.reference import EventsQuery
from app.progress.responses import (
    respond_with_events,
    respond_with_events_token,
    respond_with_resource,
)
from app.progress.waiters import WaiterRegistry
from app.quotas.in_flight import InFlightLimiter
from app.resources import Resources
from app.scripts.refs import parse_ref


@post(
    "/batches",
    request_max_body_size=None,
    operation_class=reference.SUBMIT_BATCH,
    status_code=202,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def submit_batch(
    request: AnyRequest, resources: Resources, caller: Caller
) -> Response[QueuedBatch]:
    """Run a script over many inputs.

    Each line of the NDJSON body is one input, as opaque as the body of a single submission; of a
    JSON array, each element. Blank lines are skipped. An input that is not JSON fails alone, with
    its line. Options are query parameters, for all inputs alike. The response comes as soon as all
    executions are committed, in one transaction; a broken upload leaves nothing.
    """
    choices = read_query(request, reference.BatchQuery, many=("label",))
    if choices.script is UNSET:
        raise reference.SCRIPT_MISSING
    framer, key = _framer(request), idempotency_key_of(request)
    queue_limit: QueueLimit = request.app.state.queue_limit
    await queue_limit.require_room_or_known(resources.pool, caller.tenant, key)
    submission = submission_in_query(resources.settings, choices, priority=DEFAULT_PRIORITY)
    data = stream_body(request, max_bytes=resources.settings.max_batch_bytes, compressed=True)
    uploads: InFlightLimiter = request.app.state.uploads
    uploads.begin(caller.tenant)
    try:
        queued = await submissions.submit(
            resources,
            caller,
            parse_ref(choices.script),
            submission,
            data=data,
            framer=framer,
            queue_limit=queue_limit,
            announced_bytes=announced_bytes(request),
            key=key,
        )
    except Repeated as earlier:
        batch = await service.show(resources, caller.tenant, UUID(earlier.resource))
        return responses.respond_to_submission(batch, is_replay=True)
    finally:
        uploads.end(caller.tenant)
    return responses.respond_to_submission(queued)


@get("/batches", operation_class=reference.LIST_BATCHES, **needs(Scope.READ))
async def list_batches(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Batch]:
    """List batches.

    Newest first, a page at a time.
    """
    choices = read_query(request, reference.BatchListQuery)
    return await service.list_batches(
        resources, tenant, cursor=choices.cursor or None, limit=choices.limit
    )


@get("/batches/{batch:str}", operation_class=reference.SHOW_BATCH, **needs(Scope.READ))
async def show_batch(
    batch: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, tenant: UUID
) -> Response[Batch]:
    """Show a batch.

    Its counts by status, its progress and an estimate of its end. Poll until `finished_at` is set,
    preferably with `?wait=30`: the response then comes when the batch has finished, or after that
    many seconds.
    """
    choices = read_query(request, reference.WaitQuery)
    progress = responses.progress_of(resources, tenant, parse_batch_id(batch))
    return await respond_with_resource(request, waiters, tenant, progress, wait=choices.wait)


@get(
    "/batches/{batch:str}/results",
    media_type=reference.NDJSON,
    operation_class=reference.SHOW_RESULTS,
    **needs(Scope.READ),
)
async def show_batch_results(
    batch: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Stream:
    """Download the results of a batch.

    NDJSON in the order of the inputs: `{"line":1,"id":…,"status":"succeeded","result":…}`, with the
    exact bytes of each result, and `error` in place of `result` for a failed item. Items that have
    not finished are lines with their status. `status` selects, and may repeat; `after` goes on with
    a download that broke off.
    """
    choices = read_query(request, reference.ResultsQuery, many=("status",))
    batch_id = parse_batch_id(batch)
    await service.show(resources, tenant, batch_id)
    if is_head(request):
        return Stream(iter(()), media_type=reference.NDJSON)
    lines = write_results(
        resources, tenant, batch_id, after=choices.after, statuses=choices.status or None
    )
    return Stream(await begin_download(request, lines), media_type=reference.NDJSON)


@post(
    "/batches/{batch:str}/cancel",
    status_code=200,
    operation_class=reference.CANCEL_BATCH,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def cancel_batch(batch: str, resources: Resources, caller: Caller) -> Batch:
    """Cancel a batch.

    Once the response is sent, every item that had not finished is cancelled, and any later report
    of its worker is refused. Cancelling it again changes nothing; a finished batch is a 409.
    """
    return await service.cancel(resources, caller, parse_batch_id(batch))


@get(
    "/batches/{batch:str}/events",
    media_type=EVENT_STREAM,
    operation_class=reference.SHOW_BATCH_EVENTS,
    **takes_token(needs(Scope.READ)),
)
async def show_batch_events(
    batch: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, tenant: UUID
) -> ASGIApp:
    """Follow a batch.

    Server-sent events: a `status` event with the batch as it is, another at most each second while
    items end, and one for the end, after which the stream ends. A client that reconnects with
    `Last-Event-ID` gets the events after that one; after the final event the response is 204.
    `EventSource` cannot send a key: pass a `token` in the address instead.
    """
    read_query(request, EventsQuery)
    progress = responses.progress_of(resources, tenant, parse_batch_id(batch))
    return await respond_with_events(request, waiters, tenant, progress, responses.EVENTS)


@post(
    "/batches/{batch:str}/events-token",
    status_code=201,
    operation_class=reference.CREATE_BATCH_EVENTS_TOKEN,
    **needs(Scope.READ),
)
async def create_batch_events_token(
    batch: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[EventsToken]:
    """Create a token for the events of a batch.

    For `EventSource` in a browser: `…/events?token=` opens the events of this batch, and nothing
    else, for 60 s, as `POST /executions/{execution}/events-token` does for an execution.
    """
    batch_id = parse_batch_id(batch)
    await service.show(resources, caller.tenant, batch_id)
    return await respond_with_events_token(request, caller, batch_id)


def _framer(request: AnyRequest) -> Framer:
    match media_type_of(request):
        case "application/x-ndjson" | "application/jsonl":
            return LineFramer()
        case "application/json":
            return ArrayFramer()
    raise UnsupportedMediaType(
        f"{described_type(request)}; send lines with -H 'Content-Type: {reference.NDJSON}', or a "
        "JSON array as application/json"
    )


router = Router(
    path="/",
    tags=["batches"],
    route_handlers=[
        submit_batch,
        list_batches,
        show_batch,
        show_batch_results,
        cancel_batch,
        show_batch_events,
        create_batch_events_token,
    ],
)

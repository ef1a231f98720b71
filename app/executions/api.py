"""HTTP routes of executions."""

from functools import partial
from uuid import UUID

from litestar import Response, Router, post
from litestar.types import ASGIApp

from app.auth.callers import Caller
from app.auth.event_tokens import EventsToken
from app.auth.model import Scope
from app.executions import reference, service
from app.executions.callback_urls import callback_url_in_json
from app.executions.envelope import Envelope
from app.executions.labels import labels_in_json, labels_in_query
from app.executions.model import JSON_TYPE, Execution, ExecutionFilter, Queued, Submission
from app.executions.payload_api import erase_data, show_input, show_logs, show_result
from app.executions.query_options import RawSubmissionQuery, submission_in_query
from app.executions.queue_limit import QueueLimit
from app.executions.refs import parse_execution_id, parse_group
from app.executions.replay_api import routes as replay_routes
from app.executions.responses import (
    accept_and_respond,
    respond_with_events,
    respond_with_execution,
)
from app.executions.submissions import accept_received, receive
from app.http.authorization import caller_of, needs, takes_token
from app.http.bodies import (
    AnyRequest,
    BodyTooLarge,
    UnsupportedMediaType,
    announced_bytes,
    media_type_of,
    parse_datetime,
    read_json,
    read_query,
    stream_body,
    whole_media_type_of,
)
from app.http.idempotency import idempotency_key_of
from app.http.methods import get
from app.http.sse import MEDIA_TYPE as EVENT_STREAM
from app.limits import MAX_ENVELOPE_BYTES
from app.pagination import Page
from app.payloads.reader import single_chunk
from app.progress.reference import EventsQuery
from app.progress.responses import respond_with_events_token, seconds_to_wait
from app.progress.waiters import WaiterRegistry
from app.resources import Resources
from app.scripts.params import read_params
from app.scripts.refs import parse_ref
from app.settings import Settings


@post(
    "/executions",
    request_max_body_size=None,
    operation_class=reference.SUBMIT_ENVELOPE,
    status_code=202,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def submit_envelope(request: AnyRequest) -> Response[Queued | Execution]:
    """Run a script, with the data in an envelope.

    One JSON document of up to 16 MiB names the script and holds the data and the options; `params`
    becomes the second argument of `process`. The response comes as soon as the execution is
    committed, with an address to poll. With `Prefer: wait=30` it comes when the execution has
    finished, and holds it, or after that many seconds. For larger data, and for data that a strict
    decoder refuses, use `POST /scripts/{script}/executions`.
    """
    resources, caller = _resources_of(request), caller_of(request)
    seconds, key = seconds_to_wait(request, caller), idempotency_key_of(request)
    queue_limit = _queue_limit_of(request)
    await queue_limit.require_room_or_known(resources.pool, caller.tenant, key)
    envelope = await _read_envelope(request, max_raw_bytes=resources.settings.max_input_bytes)
    submission = _submission_in_envelope(envelope, resources.settings)
    ref = parse_ref(envelope.script)
    data = single_chunk(bytes(envelope.data))
    receiving = receive(resources, caller, ref, submission, data=data, key=key)
    accepting = partial(accept_received, resources, caller, receiving)
    waiters = _waiters_of(request)
    return await accept_and_respond(request, resources, waiters, accepting, seconds=seconds)


@post(
    "/scripts/{script:str}/executions",
    request_max_body_size=None,
    operation_class=reference.SUBMIT_RAW,
    status_code=202,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def submit_raw(script: str, request: AnyRequest) -> Response[Queued | Execution]:
    """Run a script, with the data as the body.

    The body is the data, up to 256 MiB, whatever its `Content-Type` (only a form is refused). It
    is parsed by V8 alone: a body that is not JSON becomes an execution that fails with
    `invalid_input`. A version with `"io": "bytes"` gets the bytes as they are; their
    `Content-Type` is kept. Options are query parameters. The response comes as soon as the
    execution is committed; with `Prefer: wait=30`, when it has finished, or after that many
    seconds.
    """
    if media_type_of(request) == "multipart/form-data":
        raise UnsupportedMediaType(
            "the body is the data itself, not a form; with curl, use --data-binary @data.json "
            "instead of -F"
        )
    resources, caller = _resources_of(request), caller_of(request)
    seconds, key = seconds_to_wait(request, caller), idempotency_key_of(request)
    queue_limit = _queue_limit_of(request)
    await queue_limit.require_room_or_known(resources.pool, caller.tenant, key)
    ref, submission = parse_ref(script), _submission_of(request, resources.settings)
    data = stream_body(request, max_bytes=resources.settings.max_input_bytes, compressed=True)
    receiving = receive(
        resources,
        caller,
        ref,
        submission,
        data=data,
        announced_bytes=announced_bytes(request),
        key=key,
    )
    accepting = partial(accept_received, resources, caller, receiving)
    waiters = _waiters_of(request)
    return await accept_and_respond(request, resources, waiters, accepting, seconds=seconds)


@get("/executions", operation_class=reference.LIST_EXECUTIONS, **needs(Scope.READ))
async def list_executions(
    request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Execution]:
    """List executions.

    Newest first, a page at a time, without results. An execution is listed if it matches every
    filter. Times are RFC 3339 with an offset, such as `2026-01-31T12:00:00Z`.
    """
    choices = read_query(request, reference.ExecutionListQuery, many=("label",))
    wanted = ExecutionFilter(
        status=choices.status or None,
        labels=labels_in_query(choices.label or []),
        batch_id=parse_group("batch", choices.batch),
        run_id=parse_group("run", choices.run),
        created_from=parse_datetime("created_from", choices.created_from),
        created_before=parse_datetime("created_before", choices.created_before),
    )
    return await service.list_executions(
        resources,
        tenant,
        wanted,
        script=choices.script or None,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/executions/{execution:str}", operation_class=reference.SHOW_EXECUTION, **needs(Scope.READ))
async def show_execution(execution: str, request: AnyRequest) -> Response[Execution]:
    """Show an execution.

    Poll until `finished_at` is set, preferably with `?wait=30`: the response then comes when the
    execution has finished, or after that many seconds. A finished execution has a receipt, and
    either a `result` (inline up to 1 MiB; `result_url` serves any size) or an `error` whose `kind`
    says why it has no result. A result that is bytes is at `result_url` only; `receipt.output` has
    its media type, size and hash.
    """
    choices = read_query(request, reference.ExecutionQuery)
    return await respond_with_execution(
        request,
        _resources_of(request),
        _waiters_of(request),
        caller_of(request).tenant,
        parse_execution_id(execution),
        wait=choices.wait,
    )


@post(
    "/executions/{execution:str}/cancel",
    status_code=200,
    operation_class=reference.CANCEL_EXECUTION,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def cancel_execution(execution: str, resources: Resources, caller: Caller) -> Execution:
    """Cancel an execution.

    Once the response is sent, a queued or running execution is cancelled, and any later report
    of its worker is refused. Cancelling it again changes nothing; a finished execution is a 409.
    """
    return await service.cancel(resources, caller, parse_execution_id(execution))


@get(
    "/executions/{execution:str}/events",
    media_type=EVENT_STREAM,
    operation_class=reference.SHOW_EVENTS,
    **takes_token(needs(Scope.READ)),
)
async def show_events(
    execution: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, tenant: UUID
) -> ASGIApp:
    """Follow an execution.

    Server-sent events: a `status` event with the current state of the execution, then one for each
    change; the stream ends after the final state. The data is that of `GET /executions/{id}`
    without `result`, which `result_url` serves. Short-lived states may be skipped. A client that
    reconnects with `Last-Event-ID` gets the events after that one; after the final event the
    response is 204, which tells a browser to stop. `EventSource` cannot send a key: pass a `token`
    in the address instead.
    """
    read_query(request, EventsQuery)
    return await respond_with_events(
        request, resources, waiters, tenant, parse_execution_id(execution)
    )


@post(
    "/executions/{execution:str}/events-token",
    status_code=201,
    operation_class=reference.CREATE_EVENTS_TOKEN,
    **needs(Scope.READ),
)
async def create_events_token(
    execution: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[EventsToken]:
    """Create a token for events.

    For `EventSource` in a browser, which cannot send a key: `…/events?token=` opens the events of
    this execution, and nothing else, for 60 s. A stream that is open when the token expires stays
    open. The token depends on its key: when the key is revoked or expires, or its tenant is
    suspended, the token opens nothing and its streams end.
    """
    execution_id = parse_execution_id(execution)
    await service.show(resources, caller.tenant, execution_id, with_result=False)
    return await respond_with_events_token(request, caller, execution_id)


# Litestar resolves injected parameters in a task group of their own, which costs as much as the
# rest of the framework. The routes that every execution uses read the state themselves.
def _resources_of(request: AnyRequest) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


def _waiters_of(request: AnyRequest) -> WaiterRegistry:
    waiters: WaiterRegistry = request.app.state.waiters
    return waiters


def _queue_limit_of(request: AnyRequest) -> QueueLimit:
    queue_limit: QueueLimit = request.app.state.queue_limit
    return queue_limit


async def _read_envelope(request: AnyRequest, *, max_raw_bytes: int) -> Envelope:
    raw = "as the body of POST /scripts/{script}/executions"
    hint = f"; send data that an envelope cannot hold {raw}"
    try:
        return await read_json(request, Envelope, max_bytes=MAX_ENVELOPE_BYTES, hint=hint)
    except BodyTooLarge as error:
        raise BodyTooLarge(
            f"{error.detail}, because an envelope is decoded as a whole; send data of up to "
            f"{max_raw_bytes} bytes {raw}"
        ) from None


def _submission_in_envelope(envelope: Envelope, settings: Settings) -> Submission:
    return Submission(
        limits=envelope.limits,
        seed=envelope.seed,
        labels=labels_in_json(envelope.labels),
        priority=envelope.priority,
        params=read_params(envelope.params),
        callback_url=callback_url_in_json(settings, envelope.callback_url),
    )


def _submission_of(request: AnyRequest, settings: Settings) -> Submission:
    choices = read_query(request, RawSubmissionQuery, many=("label",))
    media_type = whole_media_type_of(request)
    return submission_in_query(
        settings,
        choices,
        priority=0,
        media_type=None if media_type.lower() == JSON_TYPE else media_type,
    )


router = Router(
    path="/",
    tags=["executions"],
    route_handlers=[
        submit_envelope,
        submit_raw,
        list_executions,
        show_execution,
        cancel_execution,
        show_events,
        create_events_token,
        show_result,
        show_input,
        show_logs,
        erase_data,
        *replay_routes,
    ],
)

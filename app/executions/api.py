"""HTTP routes of executions."""

from collections.abc import AsyncIterator, Callable
from uuid import UUID

from litestar import Response, Router, post
from litestar.types import ASGIApp
from msgspec import UNSET, UnsetType

from app.executions import events_reference, reference, service
from app.executions.downloads import erase_data, show_input, show_logs, show_result
from app.executions.labels import labels_in_json, labels_in_query
from app.executions.model import (
    MAX_ENVELOPE_BYTES,
    Envelope,
    Execution,
    ExecutionFilter,
    Queued,
    Submission,
)
from app.executions.problems import (
    parse_execution,
)
from app.executions.queue_limit import QueueLimit
from app.executions.responses import (
    respond_to_submission,
    respond_with_events,
    respond_with_execution,
)
from app.executions.waiting.waiters import WaiterRegistry
from app.http.access import Authenticator, Caller, Scope, needs, takes_token
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
)
from app.http.event_tokens import EventsToken
from app.http.methods import get
from app.http.sse import MEDIA_TYPE as EVENT_STREAM
from app.pagination import Page
from app.resources import Resources
from app.scripts.model import LimitChoice
from app.scripts.params import read_params
from app.scripts.refs import parse_ref


@post(
    "/executions",
    request_max_body_size=None,
    operation_class=reference.SUBMIT_ENVELOPE,
    status_code=202,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def submit_envelope(
    request: AnyRequest,
    resources: Resources,
    waits: WaiterRegistry,
    backlog: QueueLimit,
    who: Caller,
) -> Response[Queued | Execution]:
    """Run a script, with the data in an envelope.

    Script, data and choices in one JSON document of up to 16 MiB, `params` for the second argument
    of `process` among them. The answer comes at once: the
    execution is accepted and kept, and has an address to poll. With `Prefer: wait=30` it comes
    when the execution has finished, and holds it, or after so many seconds. Larger data, and
    data that a strict decoder refuses, goes to `POST /scripts/{script}/executions`.
    """

    async def submit(named: Callable[[UUID], None]) -> UUID:
        await backlog.require_room(resources.pool)
        envelope = await _read_envelope(request, most_bytes=resources.settings.max_input_bytes)
        return await service.submit(
            resources,
            who,
            parse_ref(envelope.script),
            Submission(
                limits=envelope.limits,
                seed=envelope.seed,
                labels=labels_in_json(envelope.labels),
                priority=envelope.priority,
                params=read_params(envelope.params),
            ),
            data=_once(bytes(envelope.data)),
            named=named,
        )

    return await respond_to_submission(request, resources, waits, who, submit=submit)


@post(
    "/scripts/{script:str}/executions",
    request_max_body_size=None,
    operation_class=reference.SUBMIT_RAW,
    status_code=202,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def submit_raw(
    script: str,
    request: AnyRequest,
    resources: Resources,
    waits: WaiterRegistry,
    backlog: QueueLimit,
    who: Caller,
) -> Response[Queued | Execution]:
    """Run a script, with the data as the body.

    The body is the data, up to 256 MiB, whatever its `Content-Type` says (only a form is
    refused): nobody but V8 reads it, so what is not JSON becomes an execution that failed with
    `invalid_input`. Choices are query parameters. The answer comes at once; with
    `Prefer: wait=30` when the execution has finished, or after so many seconds.
    """
    if media_type_of(request) == "multipart/form-data":
        raise UnsupportedMediaType(
            "the body is the data itself, not a form: with curl, --data-binary @data.json "
            "in place of -F"
        )

    async def submit(named: Callable[[UUID], None]) -> UUID:
        await backlog.require_room(resources.pool)
        return await service.submit(
            resources,
            who,
            parse_ref(script),
            _submission_of(request),
            data=stream_body(
                request, max_bytes=resources.settings.max_input_bytes, compressed=True
            ),
            announced_bytes=announced_bytes(request),
            named=named,
        )

    return await respond_to_submission(request, resources, waits, who, submit=submit)


@get("/executions", operation_class=reference.LIST_EXECUTIONS, **needs(Scope.READ))
async def list_executions(
    request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Execution]:
    """List executions.

    Newest first, a page at a time, without their results. Filters narrow the list together;
    moments are RFC 3339 with an offset, such as `2026-01-31T12:00:00Z`.
    """
    choices = read_query(request, reference.ListChoices, many=("label",))
    wanted = ExecutionFilter(
        status=choices.status or None,
        labels=labels_in_query(choices.label or []),
        created_from=parse_datetime("created_from", choices.created_from),
        created_before=parse_datetime("created_before", choices.created_before),
    )
    return await service.browse(
        resources,
        tenant,
        wanted,
        script=choices.script or None,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/executions/{execution:str}", operation_class=reference.SHOW_EXECUTION, **needs(Scope.READ))
async def show_execution(
    execution: str, request: AnyRequest, resources: Resources, waits: WaiterRegistry, tenant: UUID
) -> Response[Execution]:
    """Show an execution.

    Ask until `finished_at` is set, best with `?wait=30`: the answer then comes when the
    execution has finished, or after so many seconds. Then there is a receipt, and either the
    `result` (inline up to 1 MiB; `result_url` has it in any size) or the `error`, whose `kind`
    says why there is none.
    """
    choices = read_query(request, reference.ShowChoices)
    wait = None if isinstance(choices.wait, UnsetType) else choices.wait
    return await respond_with_execution(
        request, resources, waits, tenant, parse_execution(execution), wait=wait
    )


@post(
    "/executions/{execution:str}/cancel",
    status_code=200,
    operation_class=reference.CANCEL_EXECUTION,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def cancel_execution(execution: str, resources: Resources, who: Caller) -> Execution:
    """Cancel an execution.

    Queued or running, it is cancelled once this is answered: what its worker may still report
    is refused. One that is cancelled already stays as it is; one that has finished is a 409.
    """
    return await service.cancel(resources, who, parse_execution(execution))


@get(
    "/executions/{execution:str}/events",
    media_type=EVENT_STREAM,
    operation_class=events_reference.SHOW_EVENTS,
    **takes_token(needs(Scope.READ)),
)
async def show_events(
    execution: str, request: AnyRequest, resources: Resources, waits: WaiterRegistry, tenant: UUID
) -> ASGIApp:
    """Follow an execution.

    Server-sent events: `status` with the execution as it stands now, then another at each change
    of its state; after the final one the stream ends. The data is what `GET /executions/{id}`
    gives, without `result`, whose address is `result_url`. A state that lasted a moment only may
    be left out. A client that connects again with `Last-Event-ID` gets what it has not seen;
    after the final event that is 204, which tells a browser to stop. `EventSource` sends no key:
    a `token` in the address does as well.
    """
    read_query(request, events_reference.EventChoices)
    return await respond_with_events(request, resources, waits, tenant, parse_execution(execution))


@post(
    "/executions/{execution:str}/events-token",
    status_code=201,
    operation_class=events_reference.CREATE_EVENTS_TOKEN,
    **needs(Scope.READ),
)
async def create_events_token(
    execution: str, request: AnyRequest, resources: Resources, who: Caller
) -> Response[EventsToken]:
    """Create a token for events.

    For `EventSource` in a browser, which sends no headers: `…/events?token=` opens the events of
    this execution, and nothing else, for 60 s. A stream that is open by then stays open. The
    token is worth what its key is worth: it opens nothing, and its streams end, when the key is
    revoked or expires or its tenant is suspended.
    """
    execution_id = parse_execution(execution)
    await service.show(resources, who.tenant, execution_id, with_result=False)
    authenticator: Authenticator = request.app.state.authenticator
    token = await authenticator.events_token(who.key_id, execution_id)
    return Response(token, status_code=201, headers={"Cache-Control": "no-store"})


async def _read_envelope(request: AnyRequest, *, most_bytes: int) -> Envelope:
    raw = "POST /scripts/{script}/executions as the body"
    hint = f"; data that no envelope holds goes to {raw}"
    try:
        return await read_json(request, Envelope, max_bytes=MAX_ENVELOPE_BYTES, hint=hint)
    except BodyTooLarge as error:
        raise BodyTooLarge(
            f"{error.detail}, as the envelope is decoded as a whole; data of up to "
            f"{most_bytes} bytes goes to {raw}"
        ) from None


def _submission_of(request: AnyRequest) -> Submission:
    choices = read_query(request, reference.RawChoices, many=("label",))
    limits = {name: getattr(choices, name) for name in LimitChoice.__struct_fields__}
    return Submission(
        limits=LimitChoice(**{name: each or None for name, each in limits.items()}),
        seed=None if choices.seed is UNSET else choices.seed,
        labels=labels_in_query(choices.label or []),
        priority=choices.priority or 0,
        params=read_params(choices.params),
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


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
    ],
)

"""HTTP routes of pipes and of their events."""

import re
from typing import Final
from uuid import UUID

from litestar import Response, Router, delete, post, put

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import (
    AnyRequest,
    UnsupportedMediaType,
    announced_bytes,
    described_type,
    media_type_of,
    read_json,
    read_query,
    stream_body,
)
from app.http.conditions import existence_of
from app.http.idempotency import idempotency_key_of, replayed
from app.http.methods import get
from app.limits import MAX_EVENTS_BYTES, MAX_SMALL_BODY_BYTES
from app.pagination import Page, PageQuery
from app.pipes import receiving, reference, service
from app.pipes.connectors.model import MAX_EVENT_ID_BYTES
from app.pipes.model import AcceptedEvents, Pipe, PutPipe
from app.pipes.problems import InvalidEventId
from app.pipes.receiving import Received
from app.resources import Resources

# Visible ASCII. The ids that Crivo gives begin with the kind of their source.
_EVENT_ID: Final = re.compile(rf"(?!http:|dataset:)[!-~]{{1,{MAX_EVENT_ID_BYTES}}}")


@put("/pipes/{pipe:str}", operation_class=reference.PUT_PIPE, **needs(Scope.WRITE_PIPES))
async def put_pipe(
    pipe: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Pipe]:
    """Create or change a pipe.

    201 if it is new, 200 if it exists: then its next batch is as defined now. Another source is
    read from its beginning; one with events that arrived over HTTP is kept until they are
    forwarded. A dataset as its source also takes the scope `read`, one as its sink the scope
    `datasets:write`. `If-None-Match: *` only creates a pipe, `If-Match: *` only changes one.
    """
    name = service.parse_new_name(pipe)
    wanted = await read_json(request, PutPipe, max_bytes=MAX_SMALL_BODY_BYTES)
    current, is_new = await service.put(
        resources, caller, name, wanted, preconditions=existence_of(request)
    )
    headers = {"Location": f"/pipes/{name}"}
    return Response(current, status_code=201 if is_new else 200, headers=headers)


@get("/pipes", operation_class=reference.LIST_PIPES, **needs(Scope.READ))
async def list_pipes(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Pipe]:
    """List pipes.

    Newest first, in pages, each with how it is doing.
    """
    choices = read_query(request, PageQuery)
    return await service.list_pipes(
        resources, tenant, cursor=choices.cursor or None, limit=choices.limit
    )


@get("/pipes/{pipe:str}", operation_class=reference.SHOW_PIPE, **needs(Scope.READ))
async def show_pipe(pipe: str, resources: Resources, tenant: UUID) -> Pipe:
    """Show a pipe.

    With its state and, if it stands still, why; what its source still has; its counts since it was
    made and its rates over the last minute.
    """
    return await service.show(resources, tenant, service.parse_name(pipe))


@delete("/pipes/{pipe:str}", operation_class=reference.DELETE_PIPE, **needs(Scope.WRITE_PIPES))
async def delete_pipe(pipe: str, request: AnyRequest, resources: Resources, caller: Caller) -> None:
    """Delete a pipe.

    Refused while it has dead letters, or events that arrived over HTTP and are not forwarded;
    with `erase` they are deleted with it, for good. So is the Redis stream that it writes, with
    what consumers have not read of it, unless another pipe of the tenant reads or writes it.
    """
    choices = read_query(request, reference.DeleteQuery)
    name = service.parse_name(pipe)
    await service.delete(resources, caller, name, erase=choices.erase)


@post(
    "/pipes/{pipe:str}/pause",
    status_code=200,
    operation_class=reference.PAUSE_PIPE,
    **needs(Scope.WRITE_PIPES),
)
async def pause_pipe(pipe: str, resources: Resources, caller: Caller) -> Pipe:
    """Pause a pipe.

    It ends its batch and does no other. Events over HTTP are still taken. Pausing a pipe that is
    paused changes nothing.
    """
    name = service.parse_name(pipe)
    return await service.set_paused(resources, caller, name, paused=True)


@post(
    "/pipes/{pipe:str}/resume",
    status_code=200,
    operation_class=reference.RESUME_PIPE,
    **needs(Scope.WRITE_PIPES),
)
async def resume_pipe(pipe: str, resources: Resources, caller: Caller) -> Pipe:
    """Resume a pipe.

    It goes on where it was paused. Resuming a pipe that runs changes nothing.
    """
    name = service.parse_name(pipe)
    return await service.set_paused(resources, caller, name, paused=False)


@post(
    "/pipes/{pipe:str}/events",
    status_code=202,
    operation_class=reference.SEND_EVENTS,
    request_max_body_size=None,
    **needs(Scope.WRITE_EVENTS),
)
async def send_events(
    pipe: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[AcceptedEvents]:
    """Send events to a pipe.

    One event as `application/json`, or several as `application/x-ndjson`, one a line. After 202
    they are stored, and will be forwarded or become dead letters, in their order, at least once
    each. The sink gets each under a stable id, by which it can recognise one that it gets again:
    `http:`, the number of the row that it is stored in, and its place there; for a single event,
    `Crivo-Event-Id` chooses another one. The bytes of an event do not change, except that blanks
    around a single event are left out; whether it is JSON shows when the pipe processes it. 429
    while too many events wait (`inbox-full`) or at a quota of the tenant (`quota-exceeded`), 507
    when the database is full; then nothing of the request is stored.
    """
    name = service.parse_name(pipe)
    key = idempotency_key_of(request)
    event_id = _event_id_of(request)
    await receiving.require_inbox(resources, caller, name, announced_bytes=announced_bytes(request))
    received = await _received(request, event_id)
    accepted, is_replay = await receiving.accept(
        resources, caller, name, received, key=key, event_id=event_id
    )
    return Response(accepted, status_code=202, headers=replayed(is_replay=is_replay))


async def _received(request: AnyRequest, event_id: str | None) -> Received:
    body = stream_body(request, max_bytes=MAX_EVENTS_BYTES, compressed=True, digested=True)
    match media_type_of(request):
        case "application/json":
            return await receiving.receive_one(body)
        case "application/x-ndjson" | "application/jsonl":
            if event_id is not None:
                raise InvalidEventId(
                    f"{reference.EVENT_ID} is of a single event, as application/json"
                )
            return await receiving.receive_lines(body)
    raise UnsupportedMediaType(
        f"{described_type(request)}; send one event as application/json, or lines with "
        f"-H 'Content-Type: {reference.NDJSON}'"
    )


def _event_id_of(request: AnyRequest) -> str | None:
    lines = request.headers.getall(reference.EVENT_ID.lower(), [])
    if not lines:
        return None
    if len(lines) > 1 or not _EVENT_ID.fullmatch(lines[0].strip()):
        raise InvalidEventId(
            f"{reference.EVENT_ID} is 1 to {MAX_EVENT_ID_BYTES} visible ASCII characters, which do "
            "not begin with http: or dataset:"
        )
    return str(lines[0].strip())


router = Router(
    path="/",
    tags=["pipes"],
    route_handlers=[
        put_pipe,
        list_pipes,
        show_pipe,
        delete_pipe,
        pause_pipe,
        resume_pipe,
        send_events,
    ],
)

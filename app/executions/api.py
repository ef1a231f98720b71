"""HTTP routes of executions."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import MediaType, Response, Router, get, post
from litestar.params import Parameter
from litestar.response import Stream

from app.errors import MalformedRequest
from app.executions import service
from app.executions.model import (
    MAX_ENVELOPE_BYTES,
    Envelope,
    Execution,
    ExecutionFilter,
    ExecutionNotFound,
    Queued,
    Status,
    StoredPayload,
    Submission,
)
from app.executions.payloads import read_payload
from app.http.bodies import (
    AnyRequest,
    UnsupportedMediaType,
    invalid,
    invalid_by,
    media_type_of,
    read_json,
    stream_body,
)
from app.http.openapi import ANY_JSON, reads, schema_of
from app.http.paging import DEFAULT_PAGE, MAX_PAGE, Page
from app.resources import Resources
from app.scripts.model import is_uuid, parse_ref

_LIMIT_NAMES = ("wall_ms", "memory_bytes", "max_output_bytes")
_NO_LOGS = b'{"lines":[],"lines_dropped":0}'


@post(
    "/executions",
    request_max_body_size=None,
    operation_class=reads({"application/json": schema_of(Envelope)}),
    status_code=202,
)
async def submit_envelope(
    request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[Queued]:
    """Submit an execution: script, data and choices in one JSON document up to 16 MiB."""
    envelope = await _read_envelope(request)
    submission = Submission(limits=envelope.limits, seed=envelope.seed, labels=envelope.labels)
    execution_id = await service.submit(
        resources,
        tenant,
        parse_ref(envelope.script),
        submission,
        data=_once(bytes(envelope.data)),
    )
    return _queued(execution_id)


@post(
    "/scripts/{script:str}/executions",
    request_max_body_size=None,
    operation_class=reads({"application/json": ANY_JSON}),
    status_code=202,
)
async def submit_raw(
    script: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[Queued]:
    """Submit an execution: the body is the data, any JSON up to 256 MiB, untouched.

    Choices are query parameters: `wall_ms`, `memory_bytes`, `max_output_bytes`, `seed`, and
    `label=name:value` as often as wanted.
    """
    if media_type_of(request) == "multipart/form-data":
        raise UnsupportedMediaType(
            "the body is the data itself: send it with --data-binary, not as a form"
        )
    execution_id = await service.submit(
        resources,
        tenant,
        parse_ref(script),
        _submission_of(request),
        data=stream_body(request, max_bytes=resources.settings.max_input_bytes),
    )
    return _queued(execution_id)


@get("/executions")
async def list_executions(  # noqa: PLR0913 - one parameter a filter
    resources: Resources,
    tenant: UUID,
    script: Annotated[
        str | None, Parameter(description="a script, or one version of it: `cards@3`")
    ] = None,
    status: Status | None = None,
    label: Annotated[
        list[str] | None, Parameter(description="`name:value`; repeated: all of them")
    ] = None,
    created_from: datetime | None = None,
    created_before: datetime | None = None,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before")] = None,
    *,
    limit: Annotated[
        int, Parameter(ge=1, le=MAX_PAGE, description="items on a page")
    ] = DEFAULT_PAGE,
) -> Page[Execution]:
    """List executions, newest first, without their results."""
    wanted = ExecutionFilter(
        status=status,
        labels=_labels(label or []),
        created_from=_aware("created_from", created_from),
        created_before=_aware("created_before", created_before),
    )
    return await service.browse(
        resources, tenant, wanted, script=script, cursor=cursor, limit=limit
    )


@get("/executions/{execution:str}")
async def show_execution(execution: str, resources: Resources, tenant: UUID) -> Response[Execution]:
    """Show an execution: status, times, then its receipt with the result or the error."""
    found = await service.show(resources, tenant, _id(execution))
    headers = {} if found.status.final else service.RETRY_AFTER
    return Response(found, headers=headers)


@get("/executions/{execution:str}/result", media_type=MediaType.JSON)
async def show_result(execution: str, resources: Resources, tenant: UUID) -> Stream:
    """Give the result: the bytes that `JSON.stringify` made."""
    stored = await service.result_of(resources, tenant, _id(execution))
    return _bytes_of(resources, stored)


@get("/executions/{execution:str}/input", media_type=MediaType.JSON)
async def show_input(execution: str, resources: Resources, tenant: UUID) -> Stream:
    """Give the input back: the bytes that came."""
    stored = await service.input_of(resources, tenant, _id(execution))
    return _bytes_of(resources, stored)


@get("/executions/{execution:str}/logs", media_type=MediaType.JSON)
async def show_logs(execution: str, resources: Resources, tenant: UUID) -> Stream | Response[bytes]:
    """Give the captured console lines, and how many were over the caps."""
    stored = await service.logs_of(resources, tenant, _id(execution))
    if stored is None:
        return Response(_NO_LOGS, media_type=MediaType.JSON)
    return _bytes_of(resources, stored)


async def _read_envelope(request: AnyRequest) -> Envelope:
    hint = "; data that no envelope holds goes to POST /scripts/{script}/executions as the body"
    return await read_json(request, Envelope, max_bytes=MAX_ENVELOPE_BYTES, hint=hint)


def _submission_of(request: AnyRequest) -> Submission:
    query = request.query_params
    unknown = sorted(set(query) - {*_LIMIT_NAMES, "seed", "label"})
    if unknown:
        raise invalid(f"/{unknown[0]}", "unknown query parameter")
    chosen = {
        "limits": {name: query[name] for name in _LIMIT_NAMES if name in query},
        "labels": _labels(query.getall("label", [])),
        **({"seed": query["seed"]} if "seed" in query else {}),
    }
    try:
        return msgspec.convert(chosen, Submission, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_by(error) from None


def _labels(texts: list[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or "\x00" in text:
            raise invalid("/label", f"{text!r} is not name:value")
        labels[name] = value
    return labels


def _aware(name: str, moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise MalformedRequest(f"{name} has no offset from UTC; write 2026-01-31T12:00:00Z")
    return moment


def _id(text: str) -> UUID:
    if not is_uuid(text):
        raise ExecutionNotFound(f"{text!r} is not an execution's id")
    return UUID(text)


def _queued(execution_id: UUID) -> Response[Queued]:
    url = f"/executions/{execution_id}"
    return Response(
        Queued(id=execution_id, status=Status.QUEUED, url=url),
        status_code=202,
        headers={"Location": url, **service.RETRY_AFTER},
    )


def _bytes_of(resources: Resources, stored: StoredPayload) -> Stream:
    return Stream(
        read_payload(resources.blobs, stored),
        media_type=MediaType.JSON,
        headers={
            "Content-Length": str(stored.size_bytes),
            "ETag": f'"{stored.sha256.hex()}"',
            # User bytes: never taken for a page of ours.
            "X-Content-Type-Options": "nosniff",
        },
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
        show_result,
        show_input,
        show_logs,
    ],
)

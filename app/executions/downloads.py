"""HTTP routes of what is kept of an execution beside its receipt: input, result, logs."""

from collections.abc import AsyncIterator
from uuid import UUID

from litestar import MediaType, Response, delete
from litestar.response import Stream

from app.auth.callers import Caller
from app.auth.model import Scope
from app.executions import keeping, reference
from app.executions.model import (
    StoredPayload,
)
from app.executions.payloads import open_payload
from app.executions.problems import (
    parse_execution,
)
from app.http.authorization import needs
from app.http.bodies import AnyRequest
from app.http.methods import get
from app.http.ranges import Span, answer_bytes
from app.resources import Resources

BYTES = "application/octet-stream"


@get(
    "/executions/{execution:str}/result",
    media_type=MediaType.JSON,
    operation_class=reference.SHOW_RESULT,
    **needs(Scope.READ),
)
async def show_result(
    execution: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[bytes] | Stream:
    """Download the result.

    Exactly the bytes that `JSON.stringify` made of what the script returned, in any size; with
    `Range`, one range of them.
    """
    stored = await keeping.result_of(resources, tenant, parse_execution(execution))
    return await _bytes_of(request, resources, stored)


@get(
    "/executions/{execution:str}/input",
    media_type=BYTES,
    operation_class=reference.SHOW_INPUT,
    **needs(Scope.READ),
)
async def show_input(
    execution: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[bytes] | Stream:
    """Download the input.

    The bytes that came, decompressed where they came compressed, whatever they are: nobody but
    V8 has looked whether they are JSON. With `Range`, one range of them.
    """
    stored = await keeping.input_of(resources, tenant, parse_execution(execution))
    return await _bytes_of(request, resources, stored, media_type=BYTES)


@get(
    "/executions/{execution:str}/logs",
    media_type=MediaType.JSON,
    operation_class=reference.SHOW_LOGS,
    **needs(Scope.READ),
)
async def show_logs(
    execution: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[bytes] | Stream:
    """Show the console.

    What the script wrote with `console.log` and its like, up to 1,000 lines and 256 KiB, and how
    many lines were over that. It is there also when the execution failed.
    """
    stored = await keeping.logs_of(resources, tenant, parse_execution(execution))
    return await _bytes_of(request, resources, stored)


@delete(
    "/executions/{execution:str}/data",
    operation_class=reference.ERASE_DATA,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def erase_data(execution: str, resources: Resources, who: Caller) -> None:
    """Erase the data of an execution.

    Input, result and logs of a finished execution, for good: asked for, they are 410 from then
    on. The receipt stays, with their hashes and sizes. Erasing again changes nothing.
    """
    await keeping.erase(resources, who, parse_execution(execution))


async def _bytes_of(
    request: AnyRequest,
    resources: Resources,
    stored: StoredPayload,
    *,
    media_type: str = MediaType.JSON,
) -> Response[bytes] | Stream:
    async def open_span(span: Span | None) -> AsyncIterator[bytes]:
        if span is None:
            return await open_payload(resources.blobs, stored)
        return await open_payload(resources.blobs, stored, start=span.start, end=span.end)

    return await answer_bytes(
        request,
        open_span,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        media_type=media_type,
    )

"""HTTP routes of an execution's input, result and logs."""

from uuid import UUID

from litestar import MediaType, Response, delete
from litestar.response import Stream

from app.auth.callers import Caller
from app.auth.model import Scope
from app.executions import payload_reference as reference, payload_service
from app.executions.refs import parse_execution_id
from app.http.authorization import needs
from app.http.bodies import AnyRequest
from app.http.methods import get
from app.payloads.responses import respond_with_payload
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

    The exact bytes that `JSON.stringify` produced from the script's return value, in any size; of a
    version with `"io": "bytes"`, the bytes that it returned, with their media type. With `Range`,
    one range of them.
    """
    stored = await payload_service.find_result(resources, tenant, parse_execution_id(execution))
    return await respond_with_payload(request, resources.blobs, stored)


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

    The bytes as they were submitted, decompressed if they were compressed. Only V8 parses them,
    so they need not be JSON. Those of a version with `"io": "bytes"` have the media type with which
    they were sent. With `Range`, one range of them.
    """
    stored = await payload_service.find_input(resources, tenant, parse_execution_id(execution))
    return await respond_with_payload(request, resources.blobs, stored, media_type=BYTES)


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

    The lines that the script wrote with `console.log` and similar calls, up to 1,000 lines and
    256 KiB, and the number of lines dropped beyond that. Failed executions have one, too.
    """
    stored = await payload_service.find_logs(resources, tenant, parse_execution_id(execution))
    return await respond_with_payload(request, resources.blobs, stored)


@delete(
    "/executions/{execution:str}/data",
    operation_class=reference.ERASE_DATA,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def erase_data(execution: str, resources: Resources, caller: Caller) -> None:
    """Erase the data of an execution.

    Permanently erases input, result and logs of a finished execution; requests for them are
    answered with 410 afterwards. The receipt stays, with their hashes and sizes. Erasing again
    changes nothing.
    """
    await payload_service.erase(resources, caller, parse_execution_id(execution))

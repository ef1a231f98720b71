"""HTTP route that validates documents."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from litestar import post
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import (
    AnyRequest,
    UnsupportedMediaType,
    described_type,
    media_type_of,
    read_body,
    read_query,
    require_utf8,
    stream_body,
)
from app.http.duplex import begin_duplex
from app.http.reauthorization import closed_with
from app.limits import MAX_ENVELOPE_BYTES, MAX_VALIDATED_BYTES
from app.quotas.in_flight import InFlightLimiter
from app.resources import Resources
from app.sandbox.schema_checks import Checks
from app.schemas import reference
from app.schemas.refs import parse_schema_ref
from app.schemas.validation import Choices, load_schema, validate_many, validate_one


@post(
    "/{schema:str}/validate",
    status_code=200,
    operation_class=reference.VALIDATE,
    **needs(Scope.READ),
    request_max_body_size=None,
)
async def validate_documents(
    schema: str, request: AnyRequest, resources: Resources, caller: Caller
) -> ASGIApp:
    """Validate documents against a schema.

    One JSON document, or lines of JSON as `application/x-ndjson`; nothing is stored. The response
    to a document says `valid`, and if it is not, all `errors` up to 100. That to lines is NDJSON: a
    line about each invalid one, `{"line":3,"valid":false,"errors":[…]}`, and at the end a
    `summary`; without a summary it is incomplete. It begins before a long body has ended, so read
    while you send.
    """
    choices = read_query(request, reference.ValidateQuery)
    wanted = Choices(excerpts=choices.excerpts, all=choices.all)
    ref = parse_schema_ref(schema)
    match media_type_of(request):
        case "application/json":
            require_utf8(request.content_type[1].get("charset"), what="the body")
            checks = await load_schema(resources, caller.tenant, ref)
            document = await read_body(request, max_bytes=MAX_ENVELOPE_BYTES)
            found = await validate_one(resources, caller, checks, document, wanted)
            return ASGIResponse(body=found, media_type="application/json")
        case "application/x-ndjson" | "application/jsonl":
            checks = await load_schema(resources, caller.tenant, ref)
            lines = closed_with(request, _lines(request, resources, caller, checks, wanted))
            return await begin_duplex(lines, media_type=reference.NDJSON)
    raise UnsupportedMediaType(
        f"{described_type(request)}; send a document with -H 'Content-Type: application/json', or "
        f"lines with -H 'Content-Type: {reference.NDJSON}'"
    )


async def _lines(
    request: AnyRequest, resources: Resources, caller: Caller, checks: Checks, choices: Choices
) -> AsyncGenerator[bytes, None]:
    """Yield what the response says, while the tenant has one upload more in flight."""
    uploads: InFlightLimiter = request.app.state.uploads
    uploads.begin(caller.tenant)
    try:
        body = stream_body(request, max_bytes=MAX_VALIDATED_BYTES, compressed=True)
        async with aclosing(validate_many(resources, caller, checks, body, choices)) as lines:
            async for each in lines:
                yield each
    finally:
        uploads.end(caller.tenant)


routes: Final = (validate_documents,)

"""Describe in the OpenAPI document how payloads are served and erased."""

from typing import Final

from msgspec import Struct

from app.executions.problems import NoResult
from app.executions.reference import (
    EXAMPLES,
    GONE,
    NO_BLOBS,
    NO_EXECUTION,
    NOT_FINISHED,
    PARAMETERS,
)
from app.http.negotiation import ANY_TYPE
from app.http.openapi import ANY_JSON, BINARY, JsonSchema, ResponseSpec, Shape, documented
from app.http.ranges import DESCRIBED, RangeNotSatisfiable
from app.http.undeclared import not_evaluated
from app.progress.reference import NO_DATABASE
from app.sandbox.media_types import OCTET_STREAM

NO_RANGE: Final = RangeNotSatisfiable("there are 904 bytes")
_BYTES: Final = {
    "Content-Length": "size in bytes",
    "ETag": "quoted SHA-256 of the whole payload",
    "Accept-Ranges": "`bytes`",
}


class ConsoleLine(Struct, frozen=True, kw_only=True):
    """A line that the script wrote to its console."""

    level: str
    text: str


class Console(Struct, frozen=True, kw_only=True):
    """The captured console; `lines_dropped` counts the lines beyond its limits."""

    lines: list[ConsoleLine]
    lines_dropped: int


# With the media type that a user has chosen.
_ANY_BYTES: Final[dict[str, Shape]] = {ANY_TYPE: BINARY}
# A part of a JSON text need not be JSON.
_PART: Final[JsonSchema] = {"description": "a range of the bytes"}


def payload_responses(
    description: str,
    shape: type | JsonSchema,
    media_type: str = "application/json",
    also: dict[str, Shape] | None = None,
) -> dict[int, ResponseSpec]:
    """Describe the responses of a route that serves a payload: whole, in ranges, not modified."""
    part = {**_BYTES, "Content-Range": "the range of this part, and the total size"}
    return {
        200: ResponseSpec(
            description=description,
            shape=shape,
            media_type=media_type,
            also=also or {},
            headers=_BYTES,
        ),
        206: ResponseSpec(
            description="With `Range`: one range of the bytes",
            shape=_PART,
            media_type=media_type,
            headers=part,
        ),
        304: ResponseSpec(description="With `If-None-Match`: the client already has these bytes"),
    }


SHOW_RESULT: Final = documented(
    headers=DESCRIBED,
    responses=payload_responses(
        "The bytes that `JSON.stringify` produced, or that a version of `io` `bytes` returned",
        ANY_JSON,
        also=_ANY_BYTES,
    ),
    problems=(NO_EXECUTION, NoResult, NOT_FINISHED, GONE, NO_RANGE, NO_DATABASE, NO_BLOBS),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_INPUT: Final = documented(
    headers=DESCRIBED,
    responses=payload_responses(
        "The bytes as they were submitted", BINARY, OCTET_STREAM, also=_ANY_BYTES
    ),
    problems=(NO_EXECUTION, GONE, NO_RANGE, NO_DATABASE, NO_BLOBS),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

ERASE_DATA: Final = documented(
    responses={204: ResponseSpec(description="Input, result and logs are erased")},
    problems=(not_evaluated("If-Match"), NO_EXECUTION, NOT_FINISHED, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

SHOW_LOGS: Final = documented(
    headers=DESCRIBED,
    responses=payload_responses("The lines of the console, in order", Console),
    problems=(NO_EXECUTION, NOT_FINISHED, GONE, NO_RANGE, NO_DATABASE),
    parameters=PARAMETERS,
    examples=EXAMPLES,
)

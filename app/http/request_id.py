"""What a request says of itself: its id, its trace, and the address that it came from."""

import re
from collections.abc import Iterable, MutableMapping
from typing import Any, Final

import structlog
import uuid_utils.compat as uuid
from litestar.connection import ASGIConnection

from app.http.proxies import parse_address

AnyConnection = ASGIConnection[Any, Any, Any, Any]

# Set in a request's state by whoever knows what is left of the caller's rate: for every answer.
RATE_HEADERS: Final = "rate_headers"

# What may stand in a log, a header and a row as it came; anything else gets an id of ours.
_SANE: Final = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
# W3C Trace Context: version, trace, parent, flags; what a later version appends is not read.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<parent>(?!0{16})[0-9a-f]{16})"
    r"-[0-9a-f]{2}(?=-|\Z)"
)
_STATE: Final = "request_id"
_TRACE: Final = "traceparent"


def name_request(scope: MutableMapping[str, Any]) -> str:
    """Give a request its id, and every log line that it causes this id and its trace's.

    The id is the client's when it is sane and said once, else a new one; so is a trace, or
    there is none.
    """
    named = _values(scope["headers"], b"x-request-id")
    known = named[0] if len(named) == 1 and _SANE.fullmatch(named[0]) else str(uuid.uuid7())
    scope.setdefault("state", {})[_STATE] = known
    traces = _values(scope["headers"], b"traceparent")
    trace = _TRACEPARENT.match(traces[0]) if len(traces) == 1 else None
    told = {"request_id": known}
    if trace is not None:
        scope["state"][_TRACE] = f"00{trace[0][2:]}"
        told |= {"trace_id": trace["trace"], "parent_id": trace["parent"]}
    # Each request runs in a task of its own, and so in a context of its own.
    structlog.contextvars.bind_contextvars(**told)
    return known


def request_id_in(scope: MutableMapping[str, Any]) -> str:
    """Give the id of a request that has one by now; it is named where it has not."""
    known: str | None = scope.get("state", {}).get(_STATE)
    return name_request(scope) if known is None else known


def request_id_of(connection: AnyConnection) -> str:
    """Give the request's id, the same at every call."""
    return request_id_in(connection.scope)  # type: ignore[arg-type] # a TypedDict, of which one key


def traceparent_of(connection: AnyConnection) -> str | None:
    """Give the trace that the request belongs to, as the header `traceparent` has it."""
    known: str | None = connection.scope["state"].get(_TRACE)
    return known


def address_of(connection: AnyConnection) -> str | None:
    """Give the client's address; None where there is none, as on a Unix socket.

    Behind trusted proxies it is the one that they report (`app.http.proxies`).
    """
    client = connection.scope["client"]
    address = None if client is None else parse_address(str(client[0]))
    return None if address is None else str(address)


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]

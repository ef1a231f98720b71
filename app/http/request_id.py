"""Identify a request: its id, its trace context and the client's address."""

import re
from collections.abc import Iterable, MutableMapping
from typing import Any, Final

import structlog
import uuid_utils.compat as uuid
from litestar.connection import ASGIConnection

from app.http.proxies import parse_address

AnyConnection = ASGIConnection[Any, Any, Any, Any]

# Key in a request's state: headers about the caller's request rate, sent with every response.
RATE_HEADERS: Final = "rate_headers"

# Safe in logs, headers and rows as received; anything else is replaced by a new id.
_SANE: Final = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
# W3C Trace Context: version, trace, parent, flags. Additions of later versions are ignored.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<parent>(?!0{16})[0-9a-f]{16})"
    r"-[0-9a-f]{2}(?=-|\Z)"
)
_STATE: Final = "request_id"
_TRACE: Final = "traceparent"


def name_request(scope: MutableMapping[str, Any]) -> str:
    """Assign the request id, and bind it and the trace to every log line of the request.

    The client's id is used if it is valid and sent once, else a new one. An invalid or repeated
    trace context is ignored.
    """
    named = _values(scope["headers"], b"x-request-id")
    known = named[0] if len(named) == 1 and _SANE.fullmatch(named[0]) else str(uuid.uuid7())
    scope.setdefault("state", {})[_STATE] = known
    traces = _values(scope["headers"], b"traceparent")
    trace = _TRACEPARENT.match(traces[0]) if len(traces) == 1 else None
    fields = {"request_id": known}
    if trace is not None:
        scope["state"][_TRACE] = f"00{trace[0][2:]}"
        fields |= {"trace_id": trace["trace"], "parent_id": trace["parent"]}
    # Each request runs in its own task, and so in its own context.
    structlog.contextvars.bind_contextvars(**fields)
    return known


def request_id_in(scope: MutableMapping[str, Any]) -> str:
    """Return the request id, assigning one if necessary."""
    known: str | None = scope.get("state", {}).get(_STATE)
    return name_request(scope) if known is None else known


def request_id_of(connection: AnyConnection) -> str:
    """Return the request id."""
    return request_id_in(connection.scope)  # type: ignore[arg-type] # a TypedDict, of which one key


def traceparent_of(connection: AnyConnection) -> str | None:
    """Return the request's trace context in the format of the `traceparent` header."""
    known: str | None = connection.scope["state"].get(_TRACE)
    return known


def address_of(connection: AnyConnection) -> str | None:
    """Return the client's address; None if it has none, as on a Unix socket.

    Behind trusted proxies it is the one that they report (`app.http.proxies`).
    """
    client = connection.scope["client"]
    address = None if client is None else parse_address(str(client[0]))
    return None if address is None else str(address)


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]

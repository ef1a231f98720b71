"""Refuse query parameters and conditions that a route does not declare.

Ignoring them silently would suggest that they have an effect. A route declares what it takes by
`documented(query=…, headers=…)`.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from msgspec import Struct

from app.http.conditions import PreconditionUnsupported
from app.http.request_id import AnyConnection
from app.validation import (
    MAX_FAULTS,
    Fault,
    InvalidTexts,
    convert_texts,
    refused_parameters,
    unknown,
)

_WAIT: Final = "; to wait for the result, send the header `Prefer: wait=10`"
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# A client that sends one of these wants no change unless it holds (RFC 9110, 13.1).
_CONDITIONS: Final = ("If-Match", "If-None-Match", "If-Unmodified-Since")


def not_evaluated(name: str) -> PreconditionUnsupported:
    """Return the error for a condition that a route does not evaluate."""
    return PreconditionUnsupported(
        f"{name} is not evaluated here, so nothing was changed; omit the header"
    )


async def refuse_undeclared(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Refuse undeclared query parameters and undeclared conditions.

    A guard that runs after authorization, so that it reveals nothing to others. Pages and their
    assets take any query. Raises InvalidRequest, PreconditionUnsupported.
    """
    method = connection.scope.get("method")
    if method == "OPTIONS" or not isinstance(handler, HTTPRouteHandler):
        return
    if method in _CHANGING:
        evaluated = getattr(handler.operation_class, "header_names", ())
        for name in _CONDITIONS:
            if name in connection.headers and name not in evaluated:
                raise not_evaluated(name)
    if not connection.scope["query_string"] or not handler.resolve_include_in_schema():
        return
    undecodable = _not_utf8(connection.scope["query_string"])
    if undecodable:
        raise refused_parameters([Fault((each,), "is not UTF-8") for each in undecodable])
    known: tuple[str, ...] = getattr(handler.operation_class, "query_names", ())
    undeclared = [each for each in dict.fromkeys(connection.query_params) if each not in known]
    if undeclared:
        waits = "Prefer" in getattr(handler.operation_class, "header_names", ())
        faults = [
            Fault((each,), unknown(each, known) + (_WAIT if waits and each == "wait" else ""))
            for each in undeclared[:MAX_FAULTS]
        ]
        faults += _misfits(connection, getattr(handler.operation_class, "query_shape", None))
        raise refused_parameters(faults[:MAX_FAULTS])


def _misfits(connection: AnyConnection, shape: type[Struct] | None) -> Sequence[Fault]:
    """List other faults of a query, so that one response reports all of them."""
    query = connection.query_params
    # Labels may repeat, and are parsed elsewhere.
    known = [each for each in (shape.__struct_encode_fields__ if shape else ()) if each != "label"]
    texts = {name: query[name] for name in known if name in query}
    if shape is None or not texts:
        return ()
    try:
        convert_texts(texts, shape)
    except InvalidTexts as error:
        return error.faults
    return ()


def _not_utf8(query: bytes) -> list[str]:
    """List parameters that are not UTF-8; Litestar decodes them with replacement characters."""
    names: dict[str, None] = {}
    for each in query.split(b"&"):
        try:
            unquote_to_bytes(each).decode()
        except UnicodeDecodeError:
            name = unquote_to_bytes(each.partition(b"=")[0])
            names[name.decode(errors="replace")] = None
    return list(names)[:MAX_FAULTS]

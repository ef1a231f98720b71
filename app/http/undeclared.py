"""Refuse what a route does not declare, so that nobody believes that it has an effect.

What a route takes in its query, and which conditions it evaluates, is what its reference says
(`documented(query=…, headers=…)`).
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from msgspec import Struct

from app.errors import Problem
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
_SENDING: Final = frozenset({"POST", "PUT", "PATCH"})
_CHANGING: Final = _SENDING | {"DELETE"}
# Whoever sends one of these wants nothing to change where it does not hold (RFC 9110, 13.1).
_CONDITIONS: Final = ("If-Match", "If-None-Match", "If-Unmodified-Since")


class IdempotencyUnsupported(Problem):
    """The request asks to be carried out once only, which is not built yet."""

    status = 400
    code = "idempotency-key-unsupported"
    title = "Idempotency-Key is not supported yet"

    def __init__(self) -> None:
        """Say what holds instead."""
        super().__init__(
            "requests with Idempotency-Key are refused, as a repeated one would be carried out "
            "again; leave the header out, and look with GET whether the first one arrived, by a "
            "label of your own for instance"
        )


def not_evaluated(name: str) -> PreconditionUnsupported:
    """Make the problem of a condition that a route does not evaluate."""
    return PreconditionUnsupported(
        f"{name} is not evaluated here, so nothing was changed; leave the header out"
    )


async def refuse_undeclared(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Refuse query parameters that the route does not know, Idempotency-Key, and conditions.

    A guard, after that of access: strangers learn nothing here. Pages and what they are made of
    take any query. Raises InvalidRequest, IdempotencyUnsupported, PreconditionUnsupported.
    """
    method = connection.scope.get("method")
    if method == "OPTIONS" or not isinstance(handler, HTTPRouteHandler):
        return
    if method in _SENDING and "idempotency-key" in connection.headers:
        raise IdempotencyUnsupported
    if method in _CHANGING:
        evaluated = getattr(handler.operation_class, "header_names", ())
        for name in _CONDITIONS:
            if name in connection.headers and name not in evaluated:
                raise not_evaluated(name)
    if not connection.scope["query_string"] or not handler.resolve_include_in_schema():
        return
    garbled = _not_utf8(connection.scope["query_string"])
    if garbled:
        raise refused_parameters([Fault((each,), "is not UTF-8") for each in garbled])
    known: tuple[str, ...] = getattr(handler.operation_class, "query_names", ())
    strangers = [each for each in dict.fromkeys(connection.query_params) if each not in known]
    if strangers:
        waits = "Prefer" in getattr(handler.operation_class, "header_names", ())
        faults = [
            Fault((each,), unknown(each, known) + (_WAIT if waits and each == "wait" else ""))
            for each in strangers[:MAX_FAULTS]
        ]
        faults += _misfits(connection, getattr(handler.operation_class, "query_shape", None))
        raise refused_parameters(faults[:MAX_FAULTS])


def _misfits(connection: AnyConnection, shape: type[Struct] | None) -> Sequence[Fault]:
    """Name what else is wrong with a query, so that one answer tells all of it."""
    given = connection.query_params
    # Labels may come more than once, and have a reader of their own.
    known = [each for each in (shape.__struct_encode_fields__ if shape else ()) if each != "label"]
    found = {name: given[name] for name in known if name in given}
    if shape is None or not found:
        return ()
    try:
        convert_texts(found, shape)
    except InvalidTexts as error:
        return error.faults
    return ()


def _not_utf8(query: bytes) -> list[str]:
    """Name the parameters that are not UTF-8; Litestar puts replacements in their place."""
    found: dict[str, None] = {}
    for each in query.split(b"&"):
        try:
            unquote_to_bytes(each).decode()
        except UnicodeDecodeError:
            name = unquote_to_bytes(each.partition(b"=")[0])
            found[name.decode(errors="replace")] = None
    return list(found)[:MAX_FAULTS]

"""Refuse what a route does not declare, so that nobody believes that it has an effect.

What a route takes in its query, and which conditions it evaluates, is what its reference says
(`documented(query=…, headers=…)`).
"""

from typing import Final

from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from app.errors import Problem
from app.http.conditions import PreconditionUnsupported
from app.http.requests import AnyConnection
from app.http.validation import MAX_FAULTS, Fault, refused_parameters, unknown

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
    known: tuple[str, ...] = getattr(handler.operation_class, "query_names", ())
    strangers = [each for each in dict.fromkeys(connection.query_params) if each not in known]
    if strangers:
        faults = [Fault((each,), unknown(each, known)) for each in strangers[:MAX_FAULTS]]
        raise refused_parameters(faults)

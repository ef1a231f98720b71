"""Evaluate If-Match and If-None-Match (RFC 9110, 13.1)."""

import re
from typing import Final

from msgspec import Struct

from app.errors import Problem, clipped
from app.http.request_id import AnyConnection

_ETAG: Final = re.compile(r'(W/)?"([^"]*)"')

# How routes that evaluate them describe the headers in OpenAPI.
DESCRIBED: Final = {
    "If-Match": "the ETag that the client has seen, or `*` for any: 412 if the current one differs "
    "or none exists",
    "If-None-Match": "`*`: 412 if one exists already",
}
# The same for resources without ETags.
DESCRIBED_ANY: Final = {
    "If-Match": "`*`: 412 unless one exists already",
    "If-None-Match": "`*`: 412 if one exists already",
}


class PreconditionFailed(Problem):
    """The client's condition does not hold; nothing was changed."""

    status = 412
    code = "precondition-failed"
    title = "The condition in If-Match or If-None-Match does not hold"


class PreconditionUnsupported(Problem):
    """The request carries a condition that its route does not evaluate."""

    status = 400
    code = "precondition-unsupported"
    title = "The request's condition is not evaluated here"


class Conditions(Struct, frozen=True, kw_only=True):
    """The conditions of a request: the headers as received, None for missing ones."""

    if_match: str | None = None
    if_none_match: str | None = None

    def require(self, etag: str | None) -> None:
        """Evaluate the conditions; `etag` is None if nothing exists. Raises PreconditionFailed."""
        state = "none exists" if etag is None else "the current ETag differs"
        if self.if_match is not None and not _matches(self.if_match, etag, weak=False):
            raise PreconditionFailed(
                f"If-Match is {self.if_match[:200]}, but {state}; GET it again"
            )
        if self.if_none_match is not None and _matches(self.if_none_match, etag, weak=True):
            raise PreconditionFailed(
                f"If-None-Match is {self.if_none_match[:200]}, but one exists already"
            )


def conditions_of(connection: AnyConnection) -> Conditions:
    """Return the conditions of a request."""
    return Conditions(
        if_match=_header(connection, "if-match"),
        if_none_match=_header(connection, "if-none-match"),
    )


def existence_of(connection: AnyConnection) -> Conditions:
    """Return the conditions on a resource without ETags.

    Raises PreconditionFailed for any value but `*`.
    """
    found = conditions_of(connection)
    for name, value in (("If-Match", found.if_match), ("If-None-Match", found.if_none_match)):
        if value not in (None, "*"):
            raise PreconditionFailed(
                f"{name} is {clipped(value)}, but this resource has no ETag: {name} takes only *"
            )
    return found


def is_known(connection: AnyConnection, etag: str) -> bool:
    """Return whether the client of a GET has the current version, so that 304 suffices."""
    known = _header(connection, "if-none-match")
    return known is not None and _matches(known, etag, weak=True)


def _header(connection: AnyConnection, name: str) -> str | None:
    lines = connection.headers.getall(name, [])
    return ",".join(lines).strip() if lines else None


def _matches(header: str, etag: str | None, *, weak: bool) -> bool:
    if etag is None:
        return False
    if header == "*":
        return True
    return any(f'"{tag}"' == etag and (weak or not weakly) for weakly, tag in _ETAG.findall(header))

"""Carry a change out only while a thing is as the client knows it: If-Match, If-None-Match."""

import re
from typing import Final

from msgspec import Struct

from app.errors import Problem, clipped
from app.http.request_id import AnyConnection

_ETAG: Final = re.compile(r'(W/)?"([^"]*)"')

# What a route that honours them describes in its reference.
DESCRIBED: Final = {
    "If-Match": "the ETag that the client knows, or `*` for whatever is there: 412 where it is "
    "another one, or nothing",
    "If-None-Match": "`*`: only where nothing is there yet, else 412",
}
# The same where what is there has no ETag.
DESCRIBED_ANY: Final = {
    "If-Match": "`*`: only where it is there already, else 412",
    "If-None-Match": "`*`: only where nothing is there yet, else 412",
}


class PreconditionFailed(Problem):
    """The thing is not as the client's condition says; nothing was changed."""

    status = 412
    code = "precondition-failed"
    title = "It is not as If-Match or If-None-Match says"


class PreconditionUnsupported(Problem):
    """The request depends on a condition that nobody would look at."""

    status = 400
    code = "precondition-unsupported"
    title = "The request's condition is not evaluated here"


class Conditions(Struct, frozen=True, kw_only=True):
    """What must hold (RFC 9110, 13.1): headers as they came, None where there are none."""

    if_match: str | None = None
    if_none_match: str | None = None

    def require(self, etag: str | None) -> None:
        """Hold them against what is there, None for nothing. Raises PreconditionFailed."""
        there = "there is none at the moment" if etag is None else "its ETag is another one now"
        if self.if_match is not None and not _matches(self.if_match, etag, weak=False):
            raise PreconditionFailed(
                f"If-Match is {self.if_match[:200]}, and {there}; GET it again"
            )
        if self.if_none_match is not None and _matches(self.if_none_match, etag, weak=True):
            raise PreconditionFailed(
                f"If-None-Match is {self.if_none_match[:200]}, and there is one already"
            )


def conditions_of(connection: AnyConnection) -> Conditions:
    """Read the conditions of a request."""
    return Conditions(
        if_match=_header(connection, "if-match"),
        if_none_match=_header(connection, "if-none-match"),
    )


def existence_of(connection: AnyConnection) -> Conditions:
    """Read the conditions on what has no ETag. Raises PreconditionFailed for all but `*`."""
    found = conditions_of(connection)
    for name, value in (("If-Match", found.if_match), ("If-None-Match", found.if_none_match)):
        if value not in (None, "*"):
            raise PreconditionFailed(
                f"{name} is {clipped(value)}, and this has no ETag: {name} takes * here"
            )
    return found


def is_known(connection: AnyConnection, etag: str) -> bool:
    """Say whether the client of a GET has what is there, so that 304 tells it all."""
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

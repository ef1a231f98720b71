"""Carry a change out only while a thing is as the client knows it: If-Match, If-None-Match."""

from typing import Final

from app.errors import Problem, clipped
from app.http.request_id import AnyConnection
from app.preconditions import PreconditionFailed, Preconditions, etag_matches

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


class PreconditionUnsupported(Problem):
    """The request depends on a condition that nobody would look at."""

    status = 400
    code = "precondition-unsupported"
    title = "The request's condition is not evaluated here"


def conditions_of(connection: AnyConnection) -> Preconditions:
    """Read the conditions of a request."""
    return Preconditions(
        if_match=_header(connection, "if-match"),
        if_none_match=_header(connection, "if-none-match"),
    )


def existence_of(connection: AnyConnection) -> Preconditions:
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
    return known is not None and etag_matches(known, etag, weak=True)


def _header(connection: AnyConnection, name: str) -> str | None:
    lines = connection.headers.getall(name, [])
    return ",".join(lines).strip() if lines else None

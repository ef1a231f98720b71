"""Evaluate If-Match and If-None-Match (RFC 9110, 13.1)."""

from typing import Final

from app.errors import Problem, clipped
from app.http.request_id import AnyConnection
from app.preconditions import PreconditionFailed, Preconditions, etag_matches

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


class PreconditionUnsupported(Problem):
    """The request carries a condition that its route does not evaluate."""

    status = 400
    code = "precondition-unsupported"
    title = "The request's condition is not evaluated here"


def conditions_of(connection: AnyConnection) -> Preconditions:
    """Return the conditions of a request."""
    return Preconditions(
        if_match=_header(connection, "if-match"),
        if_none_match=_header(connection, "if-none-match"),
    )


def existence_of(connection: AnyConnection) -> Preconditions:
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
    return known is not None and etag_matches(known, etag, weak=True)


def _header(connection: AnyConnection, name: str) -> str | None:
    lines = connection.headers.getall(name, [])
    return ",".join(lines).strip() if lines else None

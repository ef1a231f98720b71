"""Read problem documents as errors."""

from typing import Final

from msgspec import DecodeError, Struct, ValidationError

from crivo.errors import (
    PROBLEM,
    AccessDenied,
    Conflict,
    Gone,
    InvalidRequest,
    NotFound,
    Problem,
    Refused,
    SchemaRejected,
    ScriptRejected,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from crivo.json_text import decode

_BY_STATUS: Final[dict[int, type[Refused]]] = {
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: Conflict,
    413: TooLarge,
    421: AccessDenied,
    429: TooManyRequests,
}
_FIRST_OF_SERVER: Final = 500


class _Counts(Struct, frozen=True, kw_only=True):
    """Members of some problems only."""

    invalid_records: int | None = None


def refusal(content: bytes) -> Refused | None:
    """Read a problem document as its error; None if it is none."""
    try:
        problem, counts = decode(content, Problem), decode(content, _Counts)
    except (DecodeError, ValidationError):
        return None
    if problem.type == f"{PROBLEM}invalid-script":
        return ScriptRejected(problem)
    if problem.type == f"{PROBLEM}invalid-schema":
        return SchemaRejected(problem)
    by_default = Unavailable if problem.status >= _FIRST_OF_SERVER else InvalidRequest
    kind = _BY_STATUS.get(problem.status, by_default)
    return kind(problem, invalid_records=counts.invalid_records)

"""The base classes of the errors that Crivo raises."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final, TypeVar

# Characters of a client's text that a message repeats.
_MAX_REPEATED_CHARS: Final = 60
_MAX_PARAMETER: Final = 100


class CrivoError(Exception):
    """An error whose message is for a user or an operator."""


def clipped(text: str, max_chars: int = _MAX_REPEATED_CHARS) -> str:
    """Shorten a client's text for a message."""
    return text if len(text) <= max_chars else f"{text[:max_chars]}…"


class Problem(CrivoError):
    """An error that becomes an RFC 9457 problem document.

    A subclass is one problem type: its HTTP `status`, its stable `code` (the `type` of the
    document is `urn:crivo:problem:<code>`) and its `title`. An instance adds the `detail` of
    this occurrence, `errors` where a request can be wrong in several places, `warnings`
    beside them, `members` that only its type has, and `headers` of the response.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Mapping[str, object]] = (),
        warnings: Sequence[Mapping[str, object]] = (),
        members: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Describe this occurrence."""
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.warnings = tuple(warnings)
        self.members = dict(members or {})
        self.headers = dict(headers or {})


class MalformedRequest(Problem):
    """The request cannot be parsed."""

    status = 400
    code = "malformed-request"
    title = "The request cannot be read"


class InvalidRequest(Problem):
    """The request is well-formed, but values in it are not allowed; `errors` hold pointers."""

    status = 422
    code = "invalid-request"
    title = "The request contains invalid values"


def invalid(pointer: str, message: str) -> InvalidRequest:
    """Refuse one value of a request, named by its JSON pointer."""
    place = f"{pointer}: " if pointer else ""
    return InvalidRequest(f"{place}{message}", errors=[{"pointer": pointer, "message": message}])


def invalid_parameter(name: str, message: str) -> InvalidRequest:
    """Refuse one query parameter."""
    name = clipped(name, _MAX_PARAMETER)
    errors = [{"parameter": name, "pointer": f"/{name}", "message": message}]
    return InvalidRequest(f"query parameter {name}: {message}", errors=errors)


P = TypeVar("P", bound=Problem)


@contextmanager
def about(pointer: str) -> Iterator[None]:
    """Let the problems of a block name the member of the body that they are about."""
    try:
        yield
    except InvalidRequest:
        raise
    except Problem as problem:
        raise located(pointer, problem) from None


def located(pointer: str, problem: P) -> P:
    """Return a problem as one about a value of a request's body, named by its JSON pointer."""
    return type(problem)(
        f"{pointer}: {problem.detail}",
        errors=[{"pointer": pointer, "message": problem.detail}],
        members=problem.members,
        headers=problem.headers,
    )

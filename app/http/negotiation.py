"""Negotiate the form of an answer before its handler runs (RFC 9110, 12.5.1); answer OPTIONS."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from litestar import Request, Response
from litestar.utils import get_enum_string_value
from msgspec import Struct

from app.errors import Problem
from app.http.problems import MEDIA_TYPE

# One part of a header with commas and semicolons, or one of these: a quoted string is no more
# than part of a part. Of an unterminated one the rest of the header is part, so that no
# character is read twice.
_PIECE: Final = re.compile(r'(?:[^,;"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+|[,;]', re.DOTALL)
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a name
_RANGE: Final = re.compile(rf"(?:\*/\*|{_TOKEN}/{_TOKEN})")
# Without a digit before the point it is Java's, not the standard's.
_WEIGHT: Final = re.compile(r"[01](?:\.[0-9]*)?|\.[0-9]+")
# Every text that this API gives is UTF-8, whether its media type says so or, as that of JSON,
# has no such parameter.
_GIVEN: Final = ("charset", "utf-8")


class NotAcceptable(Problem):
    """The client takes no form in which the answer exists."""

    status = 406
    code = "not-acceptable"
    title = "The answer does not exist in a form that Accept admits"


class MediaRange(Struct, frozen=True, kw_only=True):
    """A range of an Accept header: names and values of its parameters are in lower case."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    weight: float


# Asynchronous though it waits for nothing: Litestar would call it in a thread.
async def negotiate(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Answer OPTIONS; refuse what can be answered in no form that the client takes.

    A problem document is what every address can give. Raises NotAcceptable.
    """
    if request.method == "OPTIONS":
        return _options(request)
    gives = _given_by(request)
    accept = ",".join(request.headers.getall("accept", []))
    if gives and not any(accepts(accept, each) for each in (*gives, MEDIA_TYPE)):
        known = " or ".join(gives)
        raise NotAcceptable(f"{known} is what this address gives; Accept is {accept!r}")
    return None


def accepts(accept: str, media_type: str) -> bool:
    """Say whether an Accept header admits a media type."""
    return weight_of(accept, media_type) > 0


def weight_of(accept: str, media_type: str) -> float:
    """Give how much an Accept header wants a media type, 0 to 1: the most specific range decides.

    A header in which there is no range at all says nothing, and so admits everything. A range
    with a parameter that the media type does not have means another form of it: its refusal
    does not count, while a client that takes that form is given this one rather than none.
    """
    name, *parameters = (part.strip().lower() for part in media_type.split(";"))
    given = {_GIVEN, *map(_parameter, parameters)}
    decided: dict[int, float] = {}
    said = False
    for each in media_ranges(accept):
        said = True
        rank = _rank(each, name, given)
        if rank is not None:
            decided[rank] = max(decided.get(rank, 0.0), each.weight)
    if not decided:
        return 0.0 if said else 1.0
    return decided[max(decided)]


def media_ranges(accept: str) -> Iterator[MediaRange]:
    """Read the ranges of an Accept header; what is none is passed over."""
    for name, *parts in _items(accept):
        # Java sends "*", and means all.
        range_name = "*/*" if name == "*" else name
        if not _RANGE.fullmatch(range_name):
            continue
        parameters = []
        weight = 1.0
        for parameter in map(_parameter, filter(None, parts)):
            if parameter[0] == "q":
                if _WEIGHT.fullmatch(parameter[1]):
                    weight = min(float(parameter[1]), 1.0)
                # What follows the weight says nothing of the range.
                break
            parameters.append(parameter)
        yield MediaRange(name=range_name, parameters=tuple(parameters), weight=weight)


def _rank(each: MediaRange, name: str, given: Iterable[tuple[str, str]]) -> int | None:
    """Say how specific a range is for a media type, None where it is not about it."""
    if each.name == "*/*":
        return 0
    if each.name == f"{name.partition('/')[0]}/*":
        return 1
    if each.name != name:
        return None
    if not each.parameters:
        return 3
    if all(parameter in given for parameter in each.parameters):
        return 4
    return 2 if each.weight else None


def _items(header: str) -> Iterator[list[str]]:
    """Split at commas and semicolons outside of quotes: a list's items, each with its parts."""
    parts = [""]
    for piece in _PIECE.findall(header):
        if piece == ",":
            yield parts
            parts = [""]
        elif piece == ";":
            parts.append("")
        else:
            parts[-1] = piece.strip().lower()
    yield parts


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in text.partition("="))
    if value.startswith('"'):
        value = re.sub(r"\\(.)", r"\1", value.strip('"'))
    return name, value


def _given_by(request: Request[Any, Any, Any]) -> tuple[str, ...]:
    """Give the media types of a route's successful answers, none where they have no body.

    Only what the route declares knows them: of a handler that gives a Response, Litestar does not.
    """
    handler = request.route_handler
    if not handler.resolve_include_in_schema():
        return ()
    declared: tuple[str, ...] | None = getattr(handler.operation_class, "media_types", None)
    return (get_enum_string_value(handler.media_type),) if declared is None else declared


def _options(request: Request[Any, Any, Any]) -> Response[None]:
    # Litestar's own answer names the methods of the first handler of a path only.
    template = request.scope["path_template"]
    methods = {
        method
        for route in request.app.routes
        if route.path_format == template
        for method in route.methods
    }
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})

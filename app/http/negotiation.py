"""Negotiate the media type before a handler runs (RFC 9110, 12.5.1), and answer OPTIONS."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from litestar import Request, Response
from litestar.utils import get_enum_string_value
from msgspec import Struct

from app.errors import Problem
from app.http.problems import MEDIA_TYPE

# A part between commas and semicolons, or one of these. Quoted strings belong to the part around
# them; an unterminated one extends to the end of the header, so that no character is read twice.
_PIECE: Final = re.compile(r'(?:[^,;"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+|[,;]', re.DOTALL)
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the grammar's name for a word
_RANGE: Final = re.compile(rf"(?:\*/\*|{_TOKEN}/{_TOKEN})")
# Java omits the digit before the point; the standard does not.
_WEIGHT: Final = re.compile(r"[01](?:\.[0-9]*)?|\.[0-9]+")
# Every text of this API is UTF-8, even where its media type, such as JSON, has no charset.
_GIVEN: Final = ("charset", "utf-8")
_NDJSON: Final = "application/x-ndjson"
_JSON: Final = "application/json"
# Of a route whose response has a media type that a user has chosen: it is always sent.
ANY_TYPE: Final = "*/*"
# Clients repeat the Accept of their library. Longer ones are not kept: memory is bounded.
_MAX_CACHED: Final = 256


class NotAcceptable(Problem):
    """The client accepts none of the media types that the route produces."""

    status = 406
    code = "not-acceptable"
    title = "No acceptable media type"


class MediaRange(Struct, frozen=True, kw_only=True):
    """A range of an Accept header; its parameters are in lower case."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    weight: float


# Asynchronous although it awaits nothing: Litestar would run it in a thread otherwise.
async def negotiate(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Answer OPTIONS, and refuse a request whose response the client does not accept.

    Every route can produce a problem document. Raises NotAcceptable.
    """
    if request.method == "OPTIONS":
        return _options(request)
    produced = _produced_by(request)
    accept = ",".join(request.headers.getall("accept", []))
    # Lines of JSON are for clients that ask for JSON as well, as generated ones always do.
    also = (MEDIA_TYPE, _JSON) if _NDJSON in produced else (MEDIA_TYPE,)
    if (
        produced
        and ANY_TYPE not in produced
        and not any(accepts(accept, each) for each in (*produced, *also))
    ):
        known = " or ".join(produced)
        raise NotAcceptable(f"this route produces {known}; Accept is {accept!r}")
    return None


def accepts(accept: str, media_type: str) -> bool:
    """Return whether an Accept header admits a media type."""
    return weight_of(accept, media_type) > 0


def weight_of(accept: str, media_type: str) -> float:
    """Return the weight that an Accept header gives a media type, from 0 to 1.

    The most specific range decides. A header without any range admits everything. A range with
    a parameter that the media type lacks means a variant of it: refusing the variant refuses
    nothing, and accepting it admits the media type rather than none.
    """
    weigh = _weigh_cached if len(accept) <= _MAX_CACHED else _weigh
    return weigh(accept, media_type)


def _weigh(accept: str, media_type: str) -> float:
    name, *parameters = (part.strip().lower() for part in media_type.split(";"))
    given = {_GIVEN, *map(_parameter, parameters)}
    decided: dict[int, float] = {}
    has_ranges = False
    for each in media_ranges(accept):
        has_ranges = True
        rank = _rank(each, name, given)
        if rank is not None:
            decided[rank] = max(decided.get(rank, 0.0), each.weight)
    if not decided:
        return 0.0 if has_ranges else 1.0
    return decided[max(decided)]


_weigh_cached: Final = lru_cache(maxsize=512)(_weigh)


def media_ranges(accept: str) -> Iterator[MediaRange]:
    """Yield the ranges of an Accept header; invalid ones are skipped."""
    for name, *parts in _items(accept):
        # Java sends "*" for "*/*".
        range_name = "*/*" if name == "*" else name
        if not _RANGE.fullmatch(range_name):
            continue
        parameters = []
        weight = 1.0
        for parameter in map(_parameter, filter(None, parts)):
            if parameter[0] == "q":
                if _WEIGHT.fullmatch(parameter[1]):
                    weight = min(float(parameter[1]), 1.0)
                # What follows the weight is not part of the range.
                break
            parameters.append(parameter)
        yield MediaRange(name=range_name, parameters=tuple(parameters), weight=weight)


def _rank(each: MediaRange, name: str, given: Iterable[tuple[str, str]]) -> int | None:
    """Return how specifically a range matches a media type, None if it does not."""
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
    """Split a header at commas and semicolons outside quotes: items, each a list of parts."""
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


def _produced_by(request: Request[Any, Any, Any]) -> tuple[str, ...]:
    """Return the media types of a route's successful responses, none if they have no body.

    They come from the route's declaration: Litestar cannot know those of a returned Response.
    """
    handler = request.route_handler
    if not handler.resolve_include_in_schema():
        return ()
    declared: tuple[str, ...] | None = getattr(handler.operation_class, "media_types", None)
    return (get_enum_string_value(handler.media_type),) if declared is None else declared


def _options(request: Request[Any, Any, Any]) -> Response[None]:
    # Litestar's own answer lists the methods of a path's first handler only.
    template = request.scope["path_template"]
    methods = {
        method
        for route in request.app.routes
        if route.path_format == template
        for method in route.methods
    }
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})

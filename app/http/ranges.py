"""Answer with stored bytes: whole, a range of them, or that the client has them (RFC 9110)."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from litestar import Response
from litestar.response import Stream
from msgspec import Struct

from app.errors import Problem
from app.http.bodies import AnyRequest
from app.http.methods import is_head

_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
_ETAG: Final = re.compile(r'(?:W/)?("[^"]*")')

# What a route with such answers describes in its reference.
DESCRIBED: Final = {
    "Range": "`bytes=0-1023`: one range of the bytes; anything else is ignored (RFC 9110, 14.2)",
    "If-Range": "an ETag: give the range only while the bytes are these, else all of them",
    "If-None-Match": "ETags that the client has, or `*`: 304 where one fits",
}


class RangeNotSatisfiable(Problem):
    """The range begins behind the last byte."""

    status = 416
    code = "range-not-satisfiable"
    title = "There are no bytes in that range"


class Span(Struct, frozen=True):
    """Bytes from `start` up to `end`, which is not one of them."""

    start: int
    end: int


async def answer_bytes(
    request: AnyRequest,
    open_span: Callable[[Span | None], Awaitable[AsyncIterator[bytes]]],
    *,
    size_bytes: int,
    sha256: bytes,
    media_type: str,
) -> Response[bytes] | Stream:
    """Give stored bytes as the client wants them; `open_span` opens all of them for None.

    A HEAD is told their size, and opens nothing.

    Raises RangeNotSatisfiable, and what `open_span` raises.
    """
    etag = f'"{sha256.hex()}"'
    # User bytes: never taken for a page of ours.
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    if _has(request, etag):
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    if is_head(request):
        # Range is for GET only (RFC 9110, 14.2), and the store need not be asked.
        headers["Content-Length"] = str(size_bytes)
        return Response(b"", headers=headers, media_type=media_type)
    span = _span_of(request, etag=etag, size_bytes=size_bytes)
    if span is None:
        headers["Content-Length"] = str(size_bytes)
        return Stream(await open_span(None), media_type=media_type, headers=headers)
    headers["Content-Length"] = str(span.end - span.start)
    headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size_bytes}"
    return Stream(await open_span(span), status_code=206, media_type=media_type, headers=headers)


def _has(request: AnyRequest, etag: str) -> bool:
    wanted = ",".join(request.headers.getall("if-none-match", []))
    return wanted.strip() == "*" or etag in _ETAG.findall(wanted)


def _span_of(request: AnyRequest, *, etag: str, size_bytes: int) -> Span | None:
    """Read the range that is wanted, None for all. Raises RangeNotSatisfiable."""
    found = _RANGE.fullmatch(",".join(request.headers.getall("range", [])))
    # A weak ETag, or a date, never says that the bytes are the same.
    if found is None or request.headers.get("if-range", etag).strip() != etag:
        return None
    # More digits than any size has are read as such, at once.
    first, last = (text if len(text) < 20 else "9" * 19 for text in found.groups())  # noqa: PLR2004 - 2^63 has 19
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    if start >= end:
        raise RangeNotSatisfiable(
            f"there are {size_bytes} bytes", headers={"Content-Range": f"bytes */{size_bytes}"}
        )
    return Span(start, end)

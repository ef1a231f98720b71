"""Decide how to serve stored bytes: ETags and ranges (RFC 9110, 13 and 14)."""

import re
from typing import Final

from msgspec import Struct

from app.errors import Problem
from app.http.bodies import AnyRequest
from app.http.conditions import is_known
from app.http.methods import is_head

_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)

# How routes that serve bytes describe the headers in OpenAPI.
DESCRIBED: Final = {
    "Range": "`bytes=0-1023`: one range; anything else is ignored (RFC 9110, 14.2)",
    "If-Range": "an ETag: send the range if it is current, else the whole",
    "If-None-Match": "ETags that the client has, or `*`: 304 if one matches",
}


class RangeNotSatisfiable(Problem):
    """The range begins after the last byte."""

    status = 416
    code = "range-not-satisfiable"
    title = "The range contains no bytes"


class Span(Struct, frozen=True):
    """A range of bytes from `start` to `end`, exclusive."""

    start: int
    end: int


class BytesPlan(Struct, frozen=True, kw_only=True):
    """A response with stored bytes: status, headers, and the bytes of its body.

    Without a body `span` is None.
    """

    status: int
    headers: dict[str, str]
    span: Span | None


def plan_bytes(request: AnyRequest, *, size_bytes: int, sha256: bytes) -> BytesPlan:
    """Decide how to respond with stored bytes. Raises RangeNotSatisfiable."""
    etag = f'"{sha256.hex()}"'
    # User bytes: a browser must not render them as a page of this origin.
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    if is_known(request, etag):
        return BytesPlan(status=304, headers=headers, span=None)
    if is_head(request):
        # Range applies to GET only (RFC 9110, 14.2).
        headers["Content-Length"] = str(size_bytes)
        return BytesPlan(status=200, headers=headers, span=None)
    span = _span_of(request, etag=etag, size_bytes=size_bytes)
    if span is None:
        headers["Content-Length"] = str(size_bytes)
        return BytesPlan(status=200, headers=headers, span=Span(0, size_bytes))
    headers["Content-Length"] = str(span.end - span.start)
    headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size_bytes}"
    return BytesPlan(status=206, headers=headers, span=span)


def _span_of(request: AnyRequest, *, etag: str, size_bytes: int) -> Span | None:
    """Parse the requested range, None for all bytes. Raises RangeNotSatisfiable."""
    found = _RANGE.fullmatch(",".join(request.headers.getall("range", [])))
    # A weak ETag or a date does not guarantee identical bytes.
    if found is None or request.headers.get("if-range", etag).strip() != etag:
        return None
    # More digits than any size has: converting them would take long.
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
            f"the resource has {size_bytes} bytes",
            headers={"Content-Range": f"bytes */{size_bytes}"},
        )
    return Span(start, end)

"""Serve stored payloads over HTTP: whole, in ranges, or as not modified."""

from collections.abc import AsyncIterator

from litestar import MediaType, Response
from litestar.response import Stream

from app.blobs import Blobs
from app.http.bodies import AnyRequest
from app.http.ranges import Span, answer_bytes
from app.payloads.model import StoredPayload
from app.payloads.reader import open_payload


async def respond_with_payload(
    request: AnyRequest,
    blobs: Blobs,
    stored: StoredPayload,
    *,
    media_type: str = MediaType.JSON,
) -> Response[bytes] | Stream:
    """Return a payload, or the range of it that the request asks for.

    Raises RangeNotSatisfiable, BlobMissing, BlobsUnavailable.
    """

    async def open_span(span: Span | None) -> AsyncIterator[bytes]:
        if span is None:
            return await open_payload(blobs, stored)
        return await open_payload(blobs, stored, start=span.start, end=span.end)

    return await answer_bytes(
        request,
        open_span,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        media_type=media_type,
    )

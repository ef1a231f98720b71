"""Serve stored payloads over HTTP: whole, in ranges, or as not modified."""

from litestar import MediaType, Response
from litestar.response import Stream

from app.blobs import Blobs
from app.http.bodies import AnyRequest
from app.http.ranges import plan_bytes
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
    plan = plan_bytes(request, size_bytes=stored.size_bytes, sha256=stored.sha256)
    if plan.span is None:
        return Response(b"", status_code=plan.status, headers=plan.headers, media_type=media_type)
    chunks = await open_payload(blobs, stored, start=plan.span.start, end=plan.span.end)
    return Stream(chunks, status_code=plan.status, headers=plan.headers, media_type=media_type)

"""Serve stored payloads over HTTP: whole, in ranges, or as not modified."""

from typing import Final

from litestar import MediaType, Response
from litestar.response import Stream

from app.blobs import Blobs
from app.http.bodies import AnyRequest
from app.http.ranges import plan_bytes
from app.payloads.downloads import begin_download
from app.payloads.model import StoredPayload
from app.payloads.reader import read_payload

# Users choose the media types of bytes, and `text/html` is one: a browser saves such a payload. One
# that shows it all the same gives it an origin of its own, without scripts, forms and requests.
# `nosniff` comes with every payload.
_OF_BYTES: Final = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
}


async def respond_with_payload(
    request: AnyRequest,
    blobs: Blobs,
    stored: StoredPayload,
    *,
    media_type: str = MediaType.JSON,
) -> Response[bytes] | Stream:
    """Return a payload, or the range of it that the request asks for.

    `media_type` is that of a payload which has none of its own. Raises RangeNotSatisfiable,
    BlobMissing, BlobsUnavailable.
    """
    plan = plan_bytes(request, size_bytes=stored.size_bytes, sha256=stored.sha256)
    headers = plan.headers
    if stored.media_type is not None:
        # Not as `media_type`, to which a charset would be added.
        media_type = ""
        headers = {**headers, **_OF_BYTES, "Content-Type": stored.media_type}
    if plan.span is None:
        return Response(b"", status_code=plan.status, headers=headers, media_type=media_type)
    chunks = await begin_download(
        request, read_payload(blobs, stored, start=plan.span.start, end=plan.span.end)
    )
    return Stream(chunks, status_code=plan.status, headers=headers, media_type=media_type)

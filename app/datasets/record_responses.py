"""Write records as HTTP responses: one alone, or many as lines of JSON."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from litestar import Response
from litestar.response import Stream
from msgspec import Raw

from app.datasets.record_service import Found, OpenSnapshot
from app.http.bodies import AnyRequest
from app.http.conditions import is_known
from app.payloads.reader import begin

NDJSON: Final = "application/x-ndjson"
JSON: Final = "application/json"

# User bytes: a browser must not render them as a page of this origin.
_HEADERS: Final = {"X-Content-Type-Options": "nosniff"}


async def respond_with_record(
    request: AnyRequest, found: Found, snapshot: OpenSnapshot
) -> Response[bytes]:
    """Return the bytes of one record, or that the client has them."""
    etag = await found.etag()
    headers = {
        **_HEADERS,
        "ETag": etag,
        "Crivo-Snapshot": str(snapshot.number),
    }
    if is_known(request, etag):
        return Response(b"", status_code=304, headers=headers, media_type=JSON)
    return Response(found.line, headers=headers, media_type=JSON)


async def respond_with_lines(lines: AsyncIterator[bytes]) -> Stream:
    """Stream lines as they are, each ended by a line feed."""
    return Stream(await begin(_ended(lines)), headers=_HEADERS, media_type=NDJSON)


async def respond_with_history(values: AsyncIterator[Found]) -> Stream:
    """Stream the values of a key with the snapshots that added them, as a list."""
    return Stream(await begin(_as_values(values)), headers=_HEADERS, media_type=JSON)


async def respond_with_found(keys: Sequence[Raw], found: AsyncIterator[Found | None]) -> Stream:
    """Stream each key with its record, which is null for a missing one."""
    return Stream(await begin(_as_pairs(keys, found)), headers=_HEADERS, media_type=NDJSON)


async def _ended(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line + b"\n"


async def _as_values(values: AsyncIterator[Found]) -> AsyncIterator[bytes]:
    start = b"["
    async for each in values:
        yield start + b'{"snapshot":%d,"record":%b}' % (each.snapshot, each.line)
        start = b","
    yield b"]"


async def _as_pairs(
    keys: Sequence[Raw], found: AsyncIterator[Found | None]
) -> AsyncIterator[bytes]:
    remaining = iter(keys)
    async for each in found:
        key = bytes(next(remaining))
        if each is None:
            yield b'{"key":%b,"snapshot":null,"record":null}\n' % key
        else:
            yield b'{"key":%b,"snapshot":%d,"record":%b}\n' % (key, each.snapshot, each.line)

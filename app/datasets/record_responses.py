"""Write records as HTTP responses: one alone, or many as lines of JSON."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from litestar import Response
from litestar.response import Stream
from msgspec import Raw

from app.datasets.parts.long_lines import LONG_LINE_BYTES
from app.datasets.record_service import Found, OpenSnapshot
from app.http.bodies import AnyRequest
from app.http.conditions import is_known
from app.http.methods import is_head
from app.payloads.downloads import in_turn
from app.payloads.reader import begin, single_chunk
from app.quotas.turns import TenantTurns

NDJSON: Final = "application/x-ndjson"
JSON: Final = "application/json"

_SNAPSHOT: Final = "Crivo-Snapshot"
# User bytes: a browser must not render them as a page of this origin.
_HEADERS: Final = {"X-Content-Type-Options": "nosniff"}


async def respond_with_record(
    request: AnyRequest,
    found: Found,
    snapshot: OpenSnapshot,
    again: AsyncGenerator[bytes, None],
) -> Response[bytes] | Stream:
    """Return the bytes of one record, or that the client has them.

    A long one is read by `again` when it can be sent: those of requests that wait are not kept.
    """
    etag = await found.etag()
    headers = {
        **_HEADERS,
        "ETag": etag,
        _SNAPSHOT: str(snapshot.number),
    }
    size = len(found.line)
    if is_known(request, etag):
        return Response(b"", status_code=304, headers=headers, media_type=JSON)
    if size <= LONG_LINE_BYTES or is_head(request):
        return Response(found.line, headers=headers, media_type=JSON)
    body = _in_turn(request, again)
    return Stream(body, headers={**headers, "Content-Length": str(size)}, media_type=JSON)


async def respond_with_lines(
    request: AnyRequest, snapshot: OpenSnapshot, lines: AsyncGenerator[bytes, None]
) -> Stream:
    """Stream lines as they are, each ended by a line feed."""
    return await _respond(request, snapshot, _ended(lines), NDJSON)


async def respond_with_history(
    request: AnyRequest, snapshot: OpenSnapshot, values: AsyncGenerator[Found, None]
) -> Stream:
    """Stream the values of a key with the snapshots that added them, as a list."""
    return await _respond(request, snapshot, _as_values(values), JSON)


async def respond_with_found(
    request: AnyRequest,
    snapshot: OpenSnapshot,
    keys: Sequence[Raw],
    found: AsyncGenerator[Found | None, None],
) -> Stream:
    """Stream each key with its record, which is null for a missing one."""
    return await _respond(request, snapshot, _as_pairs(keys, found), NDJSON)


async def _respond(
    request: AnyRequest,
    snapshot: OpenSnapshot,
    chunks: AsyncGenerator[bytes, None],
    media_type: str,
) -> Stream:
    """Stream chunks; the first is read now, so that what it raises has a status.

    For HEAD it is the only one that is read. Records can be long, and clients slow: a tenant has a
    few streams at once.
    """
    headers = {**_HEADERS, _SNAPSHOT: str(snapshot.number)}
    chunks = _in_turn(request, chunks)
    body = await begin(chunks)
    if is_head(request):
        await chunks.aclose()
        body = single_chunk(b"")
    return Stream(body, headers=headers, media_type=media_type)


def _in_turn(
    request: AnyRequest, chunks: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    turns: TenantTurns = request.app.state.record_turns
    return in_turn(request, turns, chunks)


async def _ended(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            for piece in _pieces(b"", line, b"\n"):
                yield piece


async def _as_values(values: AsyncGenerator[Found, None]) -> AsyncGenerator[bytes, None]:
    start = b"["
    async with aclosing(values):
        async for each in values:
            for piece in _pieces(b'%b{"snapshot":%d,"record":' % (start, each.snapshot), each.line):
                yield piece
            start = b","
    yield b"]"


async def _as_pairs(
    keys: Sequence[Raw], found: AsyncGenerator[Found | None, None]
) -> AsyncGenerator[bytes, None]:
    remaining = iter(keys)
    async with aclosing(found):
        async for each in found:
            key = bytes(next(remaining))
            if each is None:
                yield b'{"key":%b,"snapshot":null,"record":null}\n' % key
                continue
            before = b'{"key":%b,"snapshot":%d,"record":' % (key, each.snapshot)
            for piece in _pieces(before, each.line, b"}\n"):
                yield piece


def _pieces(before: bytes, line: bytes, after: bytes = b"}") -> Iterator[bytes]:
    """Put a line between others; a long one in pieces, of which a slow client holds one."""
    if len(line) <= LONG_LINE_BYTES:
        yield before + line + after
        return
    yield before + line[:LONG_LINE_BYTES]
    for start in range(LONG_LINE_BYTES, len(line), LONG_LINE_BYTES):
        yield line[start : start + LONG_LINE_BYTES]
    if after:
        yield after

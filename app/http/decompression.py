"""Decompress bodies as they come, capped, a piece at a time."""

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Final
from uuid import UUID

from app.errors import MalformedRequest
from app.fair_queue import FairQueue

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# What one step gives at most: the event loop is never held for longer than it takes, some
# tenths of a ms, however much a few bytes hold.
_PIECE_BYTES: Final = 256 * 1024
# The largest window that RFC 9659 lets a sender use; a larger one would be our memory.
_ZSTD_OPTIONS: Final[Mapping[int, int]] = {zstd.DecompressionParameter.window_log_max: 23}
_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS

# Blocks of 64 KiB in the largest input are 4,096; millions of empty ones would be our time.
_MAX_MEMBERS: Final = 10_000

# What `Content-Encoding` may say, and what it means.
ENCODINGS: Final = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=_GZIP_WBITS)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def feed(self, data: bytes) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, _PIECE_BYTES)


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def feed(self, data: bytes) -> bytes:
        return self._stream.decompress(data, _PIECE_BYTES)


async def decompressed(
    chunks: AsyncIterator[bytes], encoding: str, *, turns: FairQueue, tenant: UUID, weight: int
) -> AsyncIterator[bytes]:
    """Yield what a `gzip` or `zstd` body holds, in pieces of 256 KiB at most.

    Each piece is a turn of its tenant's, and the event loop turns between two. Raises
    MalformedRequest for what is no such stream, or only the beginning of one.
    """
    stream = _new(encoding)
    members = 1
    try:
        async for chunk in chunks:
            data, more = chunk, True
            while more:
                if stream.eof:
                    stream, members = _new(encoding), members + 1
                async with turns.turn(tenant, weight=weight, cost=1):
                    piece = stream.feed(data)
                    # Held meanwhile, so that those who came by now wait for their turn.
                    await asyncio.sleep(0)
                data = stream.unused_data if stream.eof else b""
                more = bool(data) or (len(piece) == _PIECE_BYTES and not stream.eof)
                if members > _MAX_MEMBERS:
                    raise MalformedRequest(f"the body has more than {_MAX_MEMBERS} members")
                if piece:
                    yield piece
    except (zlib.error, zstd.ZstdError) as error:
        raise MalformedRequest(f"the body is not {encoding}: {error}") from None
    if not stream.eof:
        raise MalformedRequest(f"the body is not a whole {encoding} stream: it ends before its end")


def _new(encoding: str) -> _Gzip | _Zstd:
    return _Gzip() if encoding == "gzip" else _Zstd()

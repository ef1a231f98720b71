"""Decompress request bodies as they arrive, in bounded pieces."""

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

# The most that one step yields. It bounds how long a step holds the event loop (some tenths of
# a ms), whatever the compression ratio.
_PIECE_BYTES: Final = 256 * 1024
# 8 MiB, the largest window that RFC 9659 allows a sender; it bounds the decoder's memory.
_ZSTD_OPTIONS: Final[Mapping[int, int]] = {zstd.DecompressionParameter.window_log_max: 23}
_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS

# The largest input has 4,096 blocks of 64 KiB; millions of empty members would cost only time.
_MAX_MEMBERS: Final = 10_000

# Accepted values of Content-Encoding, and the format that each names.
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
    """Yield the contents of a `gzip` or `zstd` body in pieces of at most 256 KiB.

    Each piece takes one turn of its tenant in `turns`, and yields to the event loop. Raises
    MalformedRequest for an invalid or truncated stream.
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
                    # The turn is kept while other tasks run, so that newly arrived requests queue.
                    await asyncio.sleep(0)
                data = stream.unused_data if stream.eof else b""
                more = bool(data) or (len(piece) == _PIECE_BYTES and not stream.eof)
                if members > _MAX_MEMBERS:
                    raise MalformedRequest(f"the body has more than {_MAX_MEMBERS} members")
                if piece:
                    yield piece
    except (zlib.error, zstd.ZstdError):
        raise MalformedRequest(f"the body is not valid {encoding}") from None
    if not stream.eof:
        raise MalformedRequest(f"the {encoding} stream is truncated")


def _new(encoding: str) -> _Gzip | _Zstd:
    return _Gzip() if encoding == "gzip" else _Zstd()

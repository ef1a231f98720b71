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

# Files are compressed in blocks of 32 or 64 KiB, so that they can be read from the middle; millions
# of empty members would cost only time.
_FREE_MEMBERS: Final = 10_000
_MIN_MEMBER_BYTES: Final = 4 * 1024

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
    MalformedRequest for an invalid or truncated stream, and for one of many tiny members.
    """
    stream = _new(encoding)
    members, size_bytes = 1, 0
    try:
        async for chunk in chunks:
            data, more = chunk, True
            while more:
                if stream.eof:
                    _require_large(members, size_bytes)
                    stream, members = _new(encoding), members + 1
                async with turns.turn(tenant, weight=weight, cost=1):
                    piece = stream.feed(data)
                    # The turn is kept while other tasks run, so that newly arrived requests queue.
                    await asyncio.sleep(0)
                data = stream.unused_data if stream.eof else b""
                more = bool(data) or (len(piece) == _PIECE_BYTES and not stream.eof)
                if piece:
                    size_bytes += len(piece)
                    yield piece
    except (zlib.error, zstd.ZstdError):
        raise MalformedRequest(f"the body is not valid {encoding}") from None
    if not stream.eof:
        raise MalformedRequest(f"the {encoding} stream is truncated")


def _require_large(members: int, size_bytes: int) -> None:
    """Raise MalformedRequest if the members before another one have contained too little."""
    if members >= _FREE_MEMBERS and size_bytes < members * _MIN_MEMBER_BYTES:
        raise MalformedRequest(
            f"the body has {members} members of less than {_MIN_MEMBER_BYTES} bytes on average; "
            "compress it in fewer"
        )


def _new(encoding: str) -> _Gzip | _Zstd:
    return _Gzip() if encoding == "gzip" else _Zstd()

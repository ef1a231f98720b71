"""Bound what a connection may bring, whatever it consists of.

A limit of its body is not enough: a receiver can send heads without end (1xx), or chunks of a byte,
each of which costs far more time than it has bytes.
"""

import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore
from typing_extensions import override

# For one answer, its head and framing included.
MAX_ANSWER_BYTES: Final = 32 * 1024
# The event loop serves others between two reads.
_READ_BYTES: Final = 4 * 1024


class BoundedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections whose reads are bounded."""

    def __init__(self) -> None:
        """Connect by anyio, as httpcore does."""
        self._backend = httpcore.AnyIOBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host. Raises httpcore.ConnectError, httpcore.ConnectTimeout."""
        return BoundedStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )


class BoundedStream(httpcore.AsyncNetworkStream):
    """Reads at most MAX_ANSWER_BYTES after what was written last, which is a request."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        """Take the stream to bound."""
        self._stream = stream
        self._left_bytes = MAX_ANSWER_BYTES

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read a piece of the answer. Raises httpcore.ReadError, also past the last byte."""
        if self._left_bytes <= 0:
            raise httpcore.ReadError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        received = await self._stream.read(
            min(max_bytes, _READ_BYTES, self._left_bytes), timeout=timeout
        )
        self._left_bytes -= len(received)
        return received

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write a part of the request."""
        self._left_bytes = MAX_ANSWER_BYTES
        await self._stream.write(buffer, timeout=timeout)

    @override
    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    @override
    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Encrypt the connection; its plain text is bounded, too."""
        return BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    @override
    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore wants to know about the connection."""
        return self._stream.get_extra_info(info)

"""Close connections in a way that lets the client read the response first (RFC 9112, 9.6).

Closing a socket with unread data resets the connection, and a reset discards what the client has
not read yet: it sees a broken connection instead of an error. So the write side is closed first,
and a bounded amount of what the client still sends is read and discarded.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from typing_extensions import override

MAX_DROPPED_BYTES: Final = 64 * 1024 * 1024


class LingeringTransport(asyncio.Transport):
    """A transport whose `close` waits for the client, and whose reading can be suspended."""

    def __init__(self, transport: asyncio.Transport, *, owes: Callable[[], bool]) -> None:
        """Wrap a transport; `owes` returns whether part of a request is still missing."""
        super().__init__()
        self._transport = transport
        self._owes = owes
        self._lingers = False
        self._dropped_bytes = 0
        self._paused = False
        self._held = False

    @override
    def close(self) -> None:
        if self.is_closing():
            return
        if not self._owes():
            self._transport.close()
            return
        self._lingers = True
        self._transport.write_eof()
        if self._paused or self._held:
            self._transport.resume_reading()

    def close_at_once(self) -> None:
        """Close without waiting, when connections are scarce."""
        self._transport.close()

    def drop(self, size_bytes: int) -> None:
        """Count discarded bytes, and abort the connection over the limit."""
        self._dropped_bytes += size_bytes
        if self._dropped_bytes > MAX_DROPPED_BYTES:
            self._transport.abort()

    @override
    def is_closing(self) -> bool:
        return self._lingers or self._transport.is_closing()

    @override
    def pause_reading(self) -> None:
        self._read(paused=True, held=self._held)

    @override
    def resume_reading(self) -> None:
        self._read(paused=False, held=self._held)

    def hold_reading(self) -> None:
        """Stop reading until received data is parsed, even if the application resumes reading."""
        self._read(paused=self._paused, held=True)

    def release_reading(self) -> None:
        """Resume reading, unless the application has paused it."""
        self._read(paused=self._paused, held=False)

    def _read(self, *, paused: bool, held: bool) -> None:
        before, after = self._paused or self._held, paused or held
        self._paused, self._held = paused, held
        if before == after or self.is_closing():
            return
        if after:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    @override
    def is_reading(self) -> bool:
        return self._transport.is_reading()

    @override
    def abort(self) -> None:
        self._transport.abort()

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    @override
    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    @override
    def write_eof(self) -> None:
        self._transport.write_eof()

    @override
    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    @override
    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._transport.get_write_buffer_limits()

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    @override
    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

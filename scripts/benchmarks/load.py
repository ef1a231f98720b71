"""Generate load over persistent HTTP/1.1 connections, with little CPU and alike for all systems."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, cast

from typing_extensions import override

_HOST: Final = "127.0.0.1"
_TIMEOUT_SECONDS: Final = 120.0
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"

Response = tuple[int, bytes]


class Client:
    """One connection with one request at a time; reconnects if the server has closed it."""

    def __init__(
        self, port: int, *, key: str = "", timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        """Take the port, and an API key if one is needed."""
        self._timeout_seconds = timeout_seconds
        self._port = port
        key_line = f"Authorization: Bearer {key}\r\n" if key else ""
        self._common = f"Host: {_HOST}:{port}\r\n{key_line}".encode()
        self._connection: _Connection | None = None

    async def request(
        self, method: str, path: str, body: bytes = b"", *, headers: str = ""
    ) -> Response:
        """Send a request and return the response's status and body. `headers` are whole lines."""
        connection = self._connection
        if connection is None or connection.closed:
            loop = asyncio.get_running_loop()
            _, created = await loop.create_connection(_Connection, _HOST, self._port)
            connection = self._connection = created
        head = f"{method} {path} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\n".encode()
        async with asyncio.timeout(self._timeout_seconds):
            return await connection.exchange(head + self._common + b"\r\n" + body)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        # The start and the end of the body of the incoming response.
        self._body = 0
        self._end = 0
        self._response: asyncio.Future[Response] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._end == 0:
            head_end = self._received.find(_HEAD_END)
            if head_end < 0:
                return
            self._body = head_end + len(_HEAD_END)
            head = bytes(self._received[:head_end]).lower()
            _, header, rest = head.partition(_LENGTH)
            # The measured servers send a length with every response.
            self._end = self._body + (int(rest.split(b"\r", 1)[0]) if header else 0)
        if len(self._received) >= self._end and self._response is not None:
            status = int(self._received[9:12])
            content = bytes(self._received[self._body : self._end])
            del self._received[: self._end]
            self._end = 0
            if not self._response.done():
                self._response.set_result((status, content))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._response is not None and not self._response.done():
            self._response.set_exception(ConnectionResetError("the server closed the connection"))

    async def exchange(self, request: bytes) -> Response:
        if self._transport is None:
            raise ConnectionResetError("not connected")
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._response

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def time_one_by_one(
    execute: Callable[[], Awaitable[object]], *, count: int, pause_seconds: float
) -> list[float]:
    """Execute repeatedly with pauses between; return the duration of each in ms."""
    durations_ms = []
    for _ in range(count):
        await asyncio.sleep(pause_seconds)
        began = time.perf_counter()
        await execute()
        durations_ms.append((time.perf_counter() - began) * 1_000)
    return durations_ms


async def time_closed_loops(
    executes: list[Callable[[], Awaitable[object]]], *, count: int
) -> tuple[float, list[float]]:
    """Have each client execute again as soon as it has its result, `count` times in total.

    Returns the total duration in seconds, and that of each execution in ms.
    """
    durations_ms: list[float] = []
    left = count

    async def loop(execute: Callable[[], Awaitable[object]]) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            await execute()
            durations_ms.append((time.perf_counter() - began) * 1_000)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for execute in executes:
            tasks.create_task(loop(execute))
    return time.perf_counter() - began, durations_ms

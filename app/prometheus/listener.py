"""Serve a process's metrics on an address of their own, without a key.

The server speaks as much HTTP as Prometheus needs: one GET or HEAD per connection.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final

import structlog

from app.background import background, retry_forever
from app.prometheus.service import CONTENT_TYPE, MetricsPage

log = structlog.get_logger(__name__)

_MAX_HEAD_BYTES: Final = 8 * 1024
_CLIENT_SECONDS: Final = 5.0
# All ports may be in use for a while, as by the process that this one replaces.
_RETRY_SECONDS: Final = 2.0


@asynccontextmanager
async def open_listener(address: str, metrics_page: MetricsPage) -> AsyncIterator[None]:
    """Listen at `host:port`, or at the first free port of `host:port-port`; "" disables it.

    An address in use does not stop the process: it is logged and tried again.
    """
    if not address:
        yield
        return
    listening = retry_forever(
        "metrics.address_taken",
        partial(_listen, address, metrics_page),
        pause_seconds=_RETRY_SECONDS,
        address=address,
    )
    async with background(listening):
        yield


async def _listen(address: str, metrics_page: MetricsPage) -> None:
    async with await _start_on_first_free_port(address, metrics_page) as server:
        host, port = server.sockets[0].getsockname()[:2]
        log.info("metrics.listening", host=host, port=port)
        await server.serve_forever()


async def _start_on_first_free_port(address: str, metrics_page: MetricsPage) -> asyncio.Server:
    host, _, ports = address.rpartition(":")
    first, _, last = ports.partition("-")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve_client(reader, writer, metrics_page)

    def start(port: int) -> Awaitable[asyncio.Server]:
        return asyncio.start_server(serve, host.strip("[]"), port, limit=_MAX_HEAD_BYTES)

    for port in range(int(first), int(last or first)):
        with suppress(OSError):
            return await start(port)
    return await start(int(last or first))


async def _serve_client(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, metrics_page: MetricsPage
) -> None:
    try:
        async with asyncio.timeout(_CLIENT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(await _respond_to(head, metrics_page))
            await writer.drain()
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # not a request of Prometheus: no response
    finally:
        writer.close()


async def _respond_to(head: bytes, metrics_page: MetricsPage) -> bytes:
    method, _, rest = head.partition(b" ")
    target = rest.partition(b" ")[0].partition(b"?")[0]
    status, body, extra_fields = HTTPStatus.OK, b"", []
    if target != b"/metrics":
        status = HTTPStatus.NOT_FOUND
    elif method not in (b"GET", b"HEAD"):
        status, extra_fields = HTTPStatus.METHOD_NOT_ALLOWED, ["Allow: GET, HEAD"]
    else:
        body = await metrics_page.page()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *extra_fields,
        "",
        "",
    )
    return "\r\n".join(lines).encode() + (b"" if method == b"HEAD" else body)

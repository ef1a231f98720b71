"""Show a process' page on an address of its own, for who reaches it and without a key.

It speaks as much HTTP as Prometheus asks for: one GET or HEAD a connection, one answer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Final

import structlog

from app.prometheus.service import CONTENT_TYPE, MetricsPage

log = structlog.get_logger(__name__)

_HEAD_BYTES: Final = 8 * 1024
_CLIENT_SECONDS: Final = 5.0
# All ports may be taken, as by the process that this one takes the place of.
_RETRY_SECONDS: Final = 2.0


@asynccontextmanager
async def open_listener(address: str, metrics_page: MetricsPage) -> AsyncIterator[None]:
    """Listen at `host:port`, or at the first free one of `host:port-port`; "": nowhere."""
    if not address:
        yield
        return
    listener = asyncio.create_task(_listen_forever(address, metrics_page))
    try:
        yield
    finally:
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener


async def _listen_forever(address: str, metrics_page: MetricsPage) -> None:
    told = False
    while True:
        try:
            server = await _first_free(address, metrics_page)
        except (OSError, OverflowError) as error:
            # Work is worth more than news of it.
            if not told:
                log.warning("metrics.address_taken", address=address, reason=str(error))
            told = True
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        async with server:
            host, port = server.sockets[0].getsockname()[:2]
            log.info("metrics.listening", host=host, port=port)
            await server.serve_forever()


async def _first_free(address: str, metrics_page: MetricsPage) -> asyncio.Server:
    host, _, ports = address.rpartition(":")
    first, _, last = ports.partition("-")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answer(reader, writer, metrics_page)

    for port in range(int(first), int(last or first)):
        with suppress(OSError):
            return await asyncio.start_server(answer, host.strip("[]"), port, limit=_HEAD_BYTES)
    return await asyncio.start_server(
        answer, host.strip("[]"), int(last or first), limit=_HEAD_BYTES
    )


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, metrics_page: MetricsPage
) -> None:
    try:
        async with asyncio.timeout(_CLIENT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(await _answer_to(head, metrics_page))
            await writer.drain()
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # who asks otherwise than Prometheus is not answered
    finally:
        writer.close()


async def _answer_to(head: bytes, metrics_page: MetricsPage) -> bytes:
    method, _, rest = head.partition(b" ")
    target = rest.partition(b" ")[0].partition(b"?")[0]
    status, body, more = HTTPStatus.OK, b"", []
    if target != b"/metrics":
        status = HTTPStatus.NOT_FOUND
    elif method not in (b"GET", b"HEAD"):
        status, more = HTTPStatus.METHOD_NOT_ALLOWED, ["Allow: GET, HEAD"]
    else:
        body = await metrics_page.page()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *more,
        "",
        "",
    )
    return "\r\n".join(lines).encode() + (b"" if method == b"HEAD" else body)

"""Carry out flows with httpx's asynchronous client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx

from crivo.errors import CrivoError, Unreachable
from crivo.models import Page
from crivo.retries import Flow, Pause
from crivo.session import Session
from crivo.streams import Stream
from crivo.transport import failures_named, headers_of, reply_of, timeouts
from crivo.wire import Reply, Request

T = TypeVar("T")


class AsyncDriver:
    """Carries out the flows of one client."""

    def __init__(self, session: Session, http: httpx.AsyncClient, *, timeout: float) -> None:
        """Take an open client of httpx."""
        self.session = session
        self._http = http
        self._timeout = timeout

    async def do(self, flow: Flow[T]) -> T:
        """Carry out a flow to its end. Raises CrivoError."""
        try:
            step = next(flow)
            while True:
                reply: Reply | None = None
                try:
                    if isinstance(step, Pause):
                        await asyncio.sleep(step.seconds)
                    else:
                        reply = await self._send(step)
                except Unreachable as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def pages(self, page: Callable[[str | None], Flow[Page[T]]]) -> AsyncIterator[T]:
        """Yield the items of all pages; each page is requested when it is needed."""
        cursor: str | None = None
        while True:
            found = await self.do(page(cursor))
            for item in found.items:
                yield item
            cursor = found.next_cursor
            if cursor is None:
                return

    async def stream(self, stream: Stream[T]) -> AsyncIterator[T]:
        """Yield the items of a stream; a lost connection is opened again for the rest."""
        while not stream.finished:
            lost: CrivoError | None = None
            try:
                async with self._open(stream.request()) as (reply, chunks):
                    stream.begin(reply)
                    async for chunk in chunks:
                        for item in stream.items(chunk):
                            yield item
                    stream.end()
            except CrivoError as error:
                lost = error
            if not stream.finished:
                await asyncio.sleep(stream.failed(lost))

    async def _send(self, request: Request) -> Reply:
        with failures_named(self.session.url):
            response = await self._http.send(self._built(request))
            return reply_of(response, response.content)

    @asynccontextmanager
    async def _open(self, request: Request) -> AsyncIterator[tuple[Reply, AsyncIterator[bytes]]]:
        with failures_named(self.session.url):
            response = await self._http.send(self._built(request), stream=True)
        try:
            if response.is_success:
                yield reply_of(response), self._read(response)
            else:
                with failures_named(self.session.url):
                    content = await response.aread()
                yield reply_of(response, content), _nothing()
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response) -> AsyncIterator[bytes]:
        # Around each chunk only: an error of the reader's own keeps its name.
        chunks = response.aiter_bytes()
        while True:
            with failures_named(self.session.url):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _built(self, request: Request) -> httpx.Request:
        body = request.body
        content: bytes | AsyncIterator[bytes] | None = None
        if body is not None:
            content = body.achunks() if body.content is None else body.content
        return self._http.build_request(
            request.method,
            self.session.url + request.path,
            params=list(request.query),
            headers=headers_of(request),
            content=content,
            timeout=timeouts(request, timeout=self._timeout),
        )


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in tuple[bytes]():
        yield chunk

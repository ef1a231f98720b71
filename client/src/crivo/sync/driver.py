"""Carry out flows with httpx's synchronous client."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


class Driver:
    """Carries out the flows of one client."""

    def __init__(
        self,
        session: Session,
        http: httpx.Client,
        *,
        timeout: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take an open client of httpx."""
        self.session = session
        self._http = http
        self._timeout = timeout
        self._sleep = sleep

    def pausing(self, sleep: Callable[[float], None]) -> "Driver":
        """Copy it with another way to pause, which may end the flow by an error."""
        return Driver(self.session, self._http, timeout=self._timeout, sleep=sleep)

    def do(self, flow: Flow[T]) -> T:
        """Carry out a flow to its end. Raises CrivoError."""
        try:
            step = next(flow)
            while True:
                reply: Reply | None = None
                try:
                    if isinstance(step, Pause):
                        self._sleep(step.seconds)
                    else:
                        reply = self._send(step)
                except Unreachable as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def pages(self, page: Callable[[str | None], Flow[Page[T]]]) -> Iterator[T]:
        """Yield the items of all pages; each page is requested when it is needed."""
        cursor: str | None = None
        while True:
            found = self.do(page(cursor))
            yield from found.items
            cursor = found.next_cursor
            if cursor is None:
                return

    def stream(self, stream: Stream[T]) -> Iterator[T]:
        """Yield the items of a stream; a lost connection is opened again for the rest."""
        while not stream.finished:
            lost: CrivoError | None = None
            try:
                with self._open(stream.request()) as (reply, chunks):
                    stream.begin(reply)
                    for chunk in chunks:
                        yield from stream.items(chunk)
                    stream.end()
            except CrivoError as error:
                lost = error
            if not stream.finished:
                self._sleep(stream.failed(lost))

    def _send(self, request: Request) -> Reply:
        with failures_named(self.session.url):
            response = self._http.send(self._built(request))
            return reply_of(response, response.content)

    @contextmanager
    def _open(self, request: Request) -> Iterator[tuple[Reply, Iterator[bytes]]]:
        with failures_named(self.session.url):
            response = self._http.send(self._built(request), stream=True)
        try:
            if response.is_success:
                yield reply_of(response), self._read(response)
            else:
                with failures_named(self.session.url):
                    content = response.read()
                yield reply_of(response, content), iter(())
        finally:
            response.close()

    def _read(self, response: httpx.Response) -> Iterator[bytes]:
        # Around each chunk only: an error of the reader's own keeps its name.
        chunks = response.iter_bytes()
        while True:
            with failures_named(self.session.url):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _built(self, request: Request) -> httpx.Request:
        body = request.body
        content: bytes | Iterator[bytes] | None = None
        if body is not None:
            content = body.chunks() if body.content is None else body.content
        return self._http.build_request(
            request.method,
            self.session.url + request.path,
            params=list(request.query),
            headers=headers_of(request),
            content=content,
            timeout=timeouts(request, timeout=self._timeout),
        )

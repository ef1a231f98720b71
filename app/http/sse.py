"""Send server-sent events, and notice when a waiting client disconnects."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from typing import Final

from litestar.types import Receive, Scope, Send

MEDIA_TYPE: Final = "text/event-stream"
# How long a client waits before it reconnects, in ms.
_RETRY: Final = b"retry: 1000\n\n"
KEEP_ALIVE: Final = b": alive\n\n"

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    # nginx would buffer events.
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


@contextmanager
def on_leave(receive: Receive, call: Callable[[], None]) -> Iterator[None]:
    """Call `call` once if the client disconnects during the block.

    The request's body must have been read.
    """
    listener = asyncio.create_task(_listen(receive, call))
    try:
        yield
    finally:
        listener.cancel()


class EventStream:
    """A response of server-sent events; it ends with the events or when the client disconnects."""

    def __init__(
        self, events: AsyncGenerator[bytes, None], *, leave: Callable[[], None], held: ExitStack
    ) -> None:
        """Take the events, a callback that ends them, and resources to release afterwards."""
        self._events = events
        self._leave = leave
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send the response."""
        with self._held, on_leave(receive, self._leave):
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await _send_part(send, _RETRY)
            async with aclosing(self._events) as events:
                async for event in events:
                    await _send_part(send, event)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def head_of_events(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    """Answer HEAD with the headers of a stream, without opening one."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def nothing_more(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    """Answer 204, which tells a client that has all events not to reconnect (HTML, 9.2.3)."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def encode_event(name: str, event_id: str, data: bytes) -> bytes:
    """Encode one event; its data may have several lines."""
    lines = b"".join(b"data: " + line + b"\n" for line in data.splitlines())
    return f"event: {name}\nid: {event_id}\n".encode() + lines + b"\n"


async def _listen(receive: Receive, call: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    call()


async def _send_part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})

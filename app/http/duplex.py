"""Stream a response while the body of its request still arrives."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

import msgspec
from litestar.types import Receive, Scope, Send

from app.errors import Problem
from app.http.problems import document

# Clients that send everything before they read get what fits in here with their own buffers.
_HELD_BYTES: Final = 1024 * 1024


class DuplexStream:
    """A response whose chunks are made from the request's body as it arrives.

    It begins once the chunks have ended or have `_HELD_BYTES`. A problem that is raised before has
    its own response; a later one is a last line, `{"error": {…}}`.
    """

    def __init__(
        self, held: bytes, chunks: AsyncGenerator[bytes, None], *, media_type: str
    ) -> None:
        """Take the first bytes, and the chunks after them."""
        self._held = held
        self._chunks = chunks
        self._headers: Mapping[str, str] = {
            "content-type": media_type,
            "x-content-type-options": "nosniff",
            # nginx would hold the lines back.
            "x-accel-buffering": "no",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send the response."""
        headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with aclosing(self._chunks) as chunks:
            await _send_part(send, self._held)
            try:
                async for chunk in chunks:
                    await _send_part(send, chunk)
            except Problem as problem:
                await _send_part(send, msgspec.json.encode({"error": document(problem)}) + b"\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def begin_duplex(chunks: AsyncGenerator[bytes, None], *, media_type: str) -> DuplexStream:
    """Make the beginning of a response. Raises what the chunks of the beginning raise."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= _HELD_BYTES:
            break
    return DuplexStream(bytes(held), chunks, media_type=media_type)


async def _send_part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})

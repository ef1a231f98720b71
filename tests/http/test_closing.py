"""A response gives back its resources when its request ends, however it ends."""

import gc
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from litestar import Request
from litestar.types import Receive, Scope, Send

from app.http.reauthorization import closed_with, reauthorized


async def test_chunks_are_closed_although_their_sender_raised() -> None:
    held: list[AsyncGenerator[bytes, None]] = []

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"1"
        yield b"2"

    async def sends(scope: Scope, _receive: Receive, _send: Send) -> None:
        body = closed_with(Request(cast("Any", scope)), chunks())
        held.append(body)
        assert await anext(body) == b"1"
        raise ConnectionResetError

    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}}
    gc.disable()
    try:
        with pytest.raises(ConnectionResetError):
            await reauthorized(sends)(scope, _unused, _unused)
        assert await anext(held[0], b"closed") == b"closed"
    finally:
        gc.enable()


async def _unused(*_: object) -> Any:  # noqa: ANN401 - it stands for receive and send
    raise AssertionError

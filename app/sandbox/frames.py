"""Decode a cell's frames into structs, and reject all others."""

import asyncio
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from app.sandbox.cell_process import Cell
from app.sandbox.protocol import VERSION, Isolation, Kind, ProtocolError, decode_json

READY_TIMEOUT_S: Final = 20.0
AGAIN_TIMEOUT_S: Final = 2.0

T = TypeVar("T")


class Ready(Struct, frozen=True):
    """The READY frame."""

    protocol: int
    v8: str
    lockdown: dict[str, str]
    isolates: int
    isolation: Isolation


async def receive_ready(cell: Cell) -> Ready:
    """Wait until the cell is locked down. Raises ProtocolError, TimeoutError, EOFError."""
    async with asyncio.timeout(READY_TIMEOUT_S):
        frame = await cell.receive()
    if frame is None:
        raise EOFError
    kind, body = frame
    if kind is not Kind.READY:
        message = f"frame {kind.name} where READY was due"
        raise ProtocolError(message)
    ready = decode_frame(body, Ready)
    if ready.protocol != VERSION:
        message = f"protocol {ready.protocol}"
        raise ProtocolError(message)
    return ready


async def receive_again(cell: Cell) -> bool:
    """Wait until a cell has closed its used isolate; false: it cannot be used again."""
    try:
        async with asyncio.timeout(AGAIN_TIMEOUT_S):
            frame = await cell.receive()
    except (TimeoutError, ProtocolError):
        return False
    return frame == (Kind.AGAIN, b"")


def decode_frame(body: bytes, struct: type[T]) -> T:
    """Decode a body as `struct`. Raises ProtocolError."""
    try:
        # With the standard library, which accepts lone surrogates in the text of user code.
        return msgspec.convert(decode_json(body), struct)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        message = f"a frame that does not decode: {error}"
        raise ProtocolError(message) from None

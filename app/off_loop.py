"""Keep long calls off the event loop."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from app.limits import KIB

T = TypeVar("T")

# Less is done on the loop: a thread takes as long to wake up.
_LONG_BYTES: Final = 128 * KIB


async def call_by_size(size: int, call: Callable[..., T], *arguments: object) -> T:
    """Call at once for few bytes, in a thread for many."""
    if size < _LONG_BYTES:
        return call(*arguments)
    return await asyncio.to_thread(call, *arguments)
